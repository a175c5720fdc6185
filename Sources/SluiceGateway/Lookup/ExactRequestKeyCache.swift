import SluiceCache
import SluiceCore
import SluiceInference

/// The keys of gRPC requests seen lately, by their very bytes: reading a request and digesting it
/// costs three times a proxied call, and repeats mostly come byte for byte the same.
///
/// The message's `id` is left out, as it is from the key. Bytes are compared, not only hashed, so a
/// hit means the same request. A table of pairs: a newcomer takes the place of the pair's older.
/// What a key has beside the bytes is compared as well: model and revision by a number that stays theirs
/// over changes of the snapshot, and what the caller says beside its message by its bytes, which lie
/// before the message's (``KeyContext``). One worker's.
@safe
struct ExactRequestKeyCache: ~Copyable {
    @safe
    private struct Slot {
        var hash: UInt64 = 0
        /// A message longer than ``nearMaximum``.
        var far: UnsafeMutablePointer<UInt8>?
        var revision: UInt32 = 0
        /// Of the caller's parts of the key and the message; 0: the slot is free.
        var count: UInt16 = 0
        var isRaw = false
        /// Where the answer lay.
        var place = CachePlace()
        var key: CacheKey
        /// A shorter message.
        var near = InlineArray<56, UInt8>(repeating: 0)
    }

    /// Slots: as many requests as are frequent at a time, and more.
    private static let slotCount = 1 << 15
    /// Messages up to this lie in their slot: two lines of the processor's cache that come together.
    private static let nearMaximum = 56
    /// Messages above this gain little: their digest is what costs.
    static let byteMaximum = 2048
    /// What all messages together may take; who finds no room takes the whole way.
    private static let totalMaximum = 16 << 20

    // Made for the first message: most gateways have models that aren't cached.
    private var slots: UnsafeMutablePointer<Slot>?
    private var total = 0

    init() {}

    deinit {
        guard let slots = unsafe slots else { return }
        for index in 0..<ExactRequestKeyCache.slotCount { unsafe slots[index].far?.deallocate() }
        unsafe slots.deallocate()
    }

    /// A message without its `id`.
    @safe
    struct Message {
        let before: UnsafeRawBufferPointer
        let id: UnsafeRawBufferPointer
        let after: UnsafeRawBufferPointer
        let hash: UInt64
        /// Of the framed message.
        private let length: Int

        /// Whether it was made of exactly this memory.
        func isWhole(_ framed: UnsafeRawBufferPointer) -> Bool {
            unsafe framed.count == length
                && framed.baseAddress.map { unsafe $0 + 5 } == before.baseAddress
        }

        /// Bytes of both; never none.
        var count: Int { unsafe before.count + after.count }

        /// Parts a framed ModelInferRequest; nil when it is too large or not plainly one.
        init?(_ framed: UnsafeRawBufferPointer) {
            guard framed.count > 5, framed.count <= ExactRequestKeyCache.byteMaximum,
                let base = framed.baseAddress
            else { return nil }
            length = framed.count
            // The prefix has the length, which the id changes.
            var next = 5
            var field = 0..<0
            var value = 0..<0
            while next < framed.count {
                let start = next
                // Field numbers below 16, length-delimited: all that this message has.
                let tag = unsafe base.load(fromByteOffset: next, as: UInt8.self)
                guard tag & 0x87 == 2, next &+ 1 < framed.count else { return nil }
                var size = unsafe Int(base.load(fromByteOffset: next &+ 1, as: UInt8.self))
                next &+= 2
                if size >= 0x80 {
                    guard next < framed.count else { return nil }
                    let more = unsafe base.load(fromByteOffset: next, as: UInt8.self)
                    guard more < 0x80 else { return nil }
                    size = size & 0x7F | Int(more) << 7
                    next &+= 1
                }
                guard size <= framed.count &- next else { return nil }
                if tag == 3 << 3 | 2 {
                    guard field.isEmpty else { return nil }
                    field = start..<(next &+ size)
                    value = next..<(next &+ size)
                }
                next &+= size
            }
            if field.isEmpty { field = framed.count..<framed.count }
            guard framed.count - 5 > field.count else { return nil }
            unsafe before = UnsafeRawBufferPointer(start: base + 5, count: field.lowerBound - 5)
            unsafe id = UnsafeRawBufferPointer(start: base + value.lowerBound, count: value.count)
            unsafe after = UnsafeRawBufferPointer(
                start: base + field.upperBound,
                count: framed.count - field.upperBound
            )
            hash = unsafe TableHash.hash(after, TableHash.hash(before))
        }
    }

    /// What is known of a message that was seen before.
    @safe
    struct Known {
        let key: CacheKey
        let isRaw: Bool
        /// Where its answer lay; to be brought up to date.
        let place: UnsafeMutablePointer<CachePlace>
    }

    /// What is known of a message that was seen in this context; valid until the next ``insert``.
    func find(_ message: Message, _ context: KeyContext) -> Known? {
        guard let slots = unsafe slots else { return nil }
        let besides = KeyContext.hasCallerParts ? context.callerByteCount : 0
        let pair = unsafe slots + ExactRequestKeyCache.place(message)
        for index in 0..<2 {
            let slot = unsafe pair + index
            guard unsafe slot.pointee.hash == message.hash,
                unsafe slot.pointee.revision == context.revisionNumber,
                unsafe Int(slot.pointee.count) == message.count &+ besides,
                unsafe besides == 0 || context.equalsCallerParts(at: bytes(of: slot)),
                unsafe ExactRequestKeyCache.same(bytes(of: slot) + besides, message)
            else { continue }
            let place =
                unsafe UnsafeMutableRawPointer(slot)
                + (MemoryLayout<Slot>.offset(of: \.place) ?? 0)
            return unsafe Known(
                key: slot.pointee.key,
                isRaw: slot.pointee.isRaw,
                place: place.assumingMemoryBound(to: CachePlace.self)
            )
        }
        return nil
    }

    /// Has the processor fetch what ``find(_:_:)`` will read.
    func fetch(_ message: Message) {
        guard let slots = unsafe slots else { return }
        let slot = unsafe UnsafeRawPointer(slots + ExactRequestKeyCache.place(message))
        unsafe Prefetch.line(at: slot)
        unsafe Prefetch.line(at: slot + 64)
    }

    /// Where the answer to a message of this hash lay, whichever caller asked for it.
    func guess(_ message: Message) -> (key: CacheKey, place: CachePlace)? {
        guard let slots = unsafe slots else { return nil }
        let pair = unsafe slots + ExactRequestKeyCache.place(message)
        let index = unsafe pair.pointee.hash == message.hash ? 0 : 1
        let slot = unsafe pair + index
        guard unsafe slot.pointee.hash == message.hash else { return nil }
        return unsafe (slot.pointee.key, slot.pointee.place)
    }

    /// Whether any message was remembered.
    var isInUse: Bool { unsafe slots != nil }

    /// Where a message's pair begins.
    private static func place(_ message: Message) -> Int {
        Int(message.hash & UInt64(slotCount - 1)) & ~1
    }

    /// A slot's message.
    private func bytes(of slot: UnsafeMutablePointer<Slot>) -> UnsafeMutableRawPointer {
        if let far = unsafe slot.pointee.far { return UnsafeMutableRawPointer(far) }
        return unsafe UnsafeMutableRawPointer(slot) + (MemoryLayout<Slot>.offset(of: \.near) ?? 0)
    }

    private static func same(_ kept: UnsafeMutableRawPointer, _ message: Message) -> Bool {
        var place = unsafe kept
        if let before = unsafe message.before.baseAddress {
            guard unsafe ShortBytes.equal(place, before, count: message.before.count) else {
                return false
            }
            unsafe place += message.before.count
        }
        guard let after = unsafe message.after.baseAddress else { return true }
        return unsafe ShortBytes.equal(place, after, count: message.after.count)
    }

    /// Remembers a message's key in its context.
    mutating func insert(
        _ message: Message,
        _ context: KeyContext,
        key: CacheKey,
        isRaw: Bool
    ) {
        let besides = context.callerByteCount
        let count = message.count + besides
        guard count <= UInt16.max else { return }
        let slot = unsafe table() + ExactRequestKeyCache.place(message)
        if let old = unsafe slot[1].far {
            unsafe old.deallocate()
            unsafe total -= Int(slot[1].count)
        }
        unsafe slot[1] = slot[0]
        unsafe slot[0] = Slot(far: nil, key: .none)
        let isFar = count > ExactRequestKeyCache.nearMaximum
        if isFar {
            guard total + count <= ExactRequestKeyCache.totalMaximum else { return }
            total += count
        }
        unsafe slot.pointee = Slot(
            hash: message.hash,
            far: isFar ? .allocate(capacity: count) : nil,
            revision: context.revisionNumber,
            count: UInt16(count),
            isRaw: isRaw,
            key: key
        )
        var place = unsafe bytes(of: slot)
        if besides > 0 {
            unsafe context.copyCallerParts(to: place)
            unsafe place += besides
        }
        if let from = unsafe message.before.baseAddress {
            unsafe place.copyMemory(from: from, byteCount: message.before.count)
        }
        if let from = unsafe message.after.baseAddress {
            unsafe (place + message.before.count)
                .copyMemory(from: from, byteCount: message.after.count)
        }
    }

    private mutating func table() -> UnsafeMutablePointer<Slot> {
        if let slots = unsafe slots { return unsafe slots }
        // Unsafe: bound once, freed in `deinit`, indexed below the count.
        let made = unsafe UnsafeMutableRawPointer.allocate(
            byteCount: ExactRequestKeyCache.slotCount * MemoryLayout<Slot>.stride,
            alignment: 128
        ).bindMemory(to: Slot.self, capacity: ExactRequestKeyCache.slotCount)
        unsafe made.initialize(
            repeating: Slot(far: nil, key: .none),
            count: ExactRequestKeyCache.slotCount
        )
        unsafe slots = made
        return unsafe made
    }
}
