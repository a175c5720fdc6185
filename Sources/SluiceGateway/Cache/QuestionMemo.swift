import SluiceCache
import SluiceCore

/// The keys of gRPC requests seen lately, by their very bytes: reading a request and digesting it
/// costs three times a proxied call, and repeats mostly come byte for byte the same.
///
/// The message's `id` is left out, as it is from the key. Bytes are compared, not only hashed, so a
/// hit means the same request. A direct-mapped table: a newcomer takes the place of whoever had it.
/// One worker's; it must be emptied when revisions change, since it knows them by address.
@safe
struct QuestionMemo: ~Copyable {
    @safe
    private struct Slot {
        var hash: UInt64 = 0
        var revision: UInt = 0
        var key: CacheKey?
        var isRaw = false
        var bytes: UnsafeMutablePointer<UInt8>?
        var count = 0
    }

    /// Slots; at most this many times ``byteMaximum`` bytes are kept.
    private static let slotCount = 1024
    /// Messages above this gain little: their digest is what costs.
    static let byteMaximum = 2048

    private let slots: UnsafeMutablePointer<Slot>

    init() {
        unsafe slots = .allocate(capacity: QuestionMemo.slotCount)
        unsafe slots.initialize(repeating: Slot(bytes: nil), count: QuestionMemo.slotCount)
    }

    deinit {
        for index in 0..<QuestionMemo.slotCount { unsafe slots[index].bytes?.deallocate() }
        unsafe slots.deallocate()
    }

    /// Forgets everything.
    func removeAll() {
        for index in 0..<QuestionMemo.slotCount { unsafe slots[index].key = nil }
    }

    /// A message without its `id`.
    @safe
    struct Message {
        let before: UnsafeRawBufferPointer
        let id: UnsafeRawBufferPointer
        let after: UnsafeRawBufferPointer
        let hash: UInt64

        /// Parts a framed ModelInferRequest; nil when it is too large or not plainly one.
        init?(_ framed: UnsafeRawBufferPointer) {
            guard framed.count > 5, framed.count <= QuestionMemo.byteMaximum,
                let base = framed.baseAddress
            else { return nil }
            // The prefix has the length, which the id changes.
            var next = 5
            var field = 0..<0
            var value = 0..<0
            while next < framed.count {
                let start = next
                let tag = unsafe framed[next]
                next += 1
                // Field numbers below 16, length-delimited: all that this message has.
                guard tag < 0x80, tag & 7 == 2, next < framed.count else { return nil }
                var size = unsafe Int(framed[next])
                next += 1
                if size >= 0x80 {
                    guard next < framed.count, unsafe framed[next] < 0x80 else { return nil }
                    size = unsafe size & 0x7F | Int(framed[next]) << 7
                    next += 1
                }
                guard size <= framed.count - next else { return nil }
                if tag >> 3 == 3 {
                    guard field.isEmpty else { return nil }
                    field = start..<(next + size)
                    value = next..<(next + size)
                }
                next += size
            }
            if field.isEmpty { field = framed.count..<framed.count }
            unsafe before = UnsafeRawBufferPointer(start: base + 5, count: field.lowerBound - 5)
            unsafe id = UnsafeRawBufferPointer(start: base + value.lowerBound, count: value.count)
            unsafe after = UnsafeRawBufferPointer(
                start: base + field.upperBound,
                count: framed.count - field.upperBound
            )
            var state: UInt64 = 0x9E37_79B9_7F4A_7C15
            unsafe Message.mix(before, &state)
            unsafe Message.mix(after, &state)
            hash = state
        }

        private static func mix(_ bytes: UnsafeRawBufferPointer, _ state: inout UInt64) {
            var index = 0
            while index &+ 8 <= bytes.count {
                let word = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                state = (state ^ word) &* 0xFF51_AFD7_ED55_8CCD
                state ^= state >> 31
                index &+= 8
            }
            while index < bytes.count {
                state = unsafe (state ^ UInt64(bytes[index])) &* 0x100_0000_01B3
                index &+= 1
            }
            state ^= state >> 29
        }
    }

    /// The key of a message that was seen for this revision, and whether it was raw.
    func find(_ message: Message, revision: UInt) -> (key: CacheKey, isRaw: Bool)? {
        let slot = unsafe slots + Int(message.hash & UInt64(QuestionMemo.slotCount - 1))
        guard unsafe slot.pointee.hash == message.hash, unsafe slot.pointee.revision == revision,
            let key = unsafe slot.pointee.key, let bytes = unsafe slot.pointee.bytes,
            unsafe slot.pointee.count == message.before.count + message.after.count,
            unsafe QuestionMemo.same(bytes, message.before),
            unsafe QuestionMemo.same(bytes + message.before.count, message.after)
        else { return nil }
        return unsafe (key, slot.pointee.isRaw)
    }

    private static func same(
        _ kept: UnsafeMutablePointer<UInt8>,
        _ bytes: UnsafeRawBufferPointer
    ) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        return unsafe ShortBytes.equal(kept, base, count: bytes.count)
    }

    /// Remembers a message's key.
    func insert(_ message: Message, revision: UInt, key: CacheKey, isRaw: Bool) {
        let slot = unsafe slots + Int(message.hash & UInt64(QuestionMemo.slotCount - 1))
        let count = unsafe message.before.count + message.after.count
        let bytes = unsafe slot.pointee.bytes ?? .allocate(capacity: QuestionMemo.byteMaximum)
        if let from = unsafe message.before.baseAddress {
            unsafe UnsafeMutableRawPointer(bytes).copyMemory(
                from: from,
                byteCount: message.before.count
            )
        }
        if let from = unsafe message.after.baseAddress {
            unsafe UnsafeMutableRawPointer(bytes + message.before.count).copyMemory(
                from: from,
                byteCount: message.after.count
            )
        }
        unsafe slot.pointee = Slot(
            hash: message.hash,
            revision: revision,
            key: key,
            isRaw: isRaw,
            bytes: bytes,
            count: count
        )
    }
}
