/// Walks a protobuf message's fields in place, for ``CanonicalRequestScanner``: no value is copied, nothing is
/// thrown, and everything is inlined where it is used.
///
/// Takes exactly what ``WireReader`` takes; `CanonicalRequestScannerTests` holds the two together. Groups end
/// it, as does whatever isn't protobuf: ``isBroken`` tells.
@safe
struct FieldCursor {
    /// How a field's value is packed (Protocol Buffers, "Encoding").
    enum Wire { case varint, fixed64, bytes, fixed32 }

    private var place: UnsafeRawPointer
    private let end: UnsafeRawPointer
    /// Whether the walk ended before the message did.
    private(set) var isBroken = false
    private(set) var number = 0
    private(set) var wire = Wire.varint
    /// The value, unless it is bytes.
    private(set) var bits: UInt64 = 0
    /// The value, if it is bytes; borrowed from the message.
    private(set) var bytes: UnsafeRawBufferPointer

    /// A walk over `message`, which must outlive it.
    @inline(__always)
    init(_ message: UnsafeRawBufferPointer) {
        // No bytes may come without an address; any will do, as nothing is read there.
        unsafe place =
            unsafe message.baseAddress ?? UnsafeRawPointer(StaticString("").utf8Start)
        unsafe end = unsafe place + message.count
        unsafe bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Steps to the next field; false at the end, and where the message breaks off.
    @inline(__always)
    mutating func next() -> Bool {
        guard unsafe place < end else { return false }
        guard let tag = varint() else { return stop() }
        number = Int(truncatingIfNeeded: tag >> 3)
        guard number > 0, number < 1 << 29 else { return stop() }
        switch tag & 7 {
        case 0:
            guard let value = varint() else { return stop() }
            wire = .varint
            bits = value
        case 2:
            guard let length = varint(), length <= UInt64(unsafe end - place) else { return stop() }
            wire = .bytes
            unsafe bytes = UnsafeRawBufferPointer(start: place, count: Int(length))
            unsafe place += Int(length)
        case 1:
            guard unsafe end - place >= 8 else { return stop() }
            wire = .fixed64
            bits = unsafe UInt64(littleEndian: place.loadUnaligned(as: UInt64.self))
            unsafe place += 8
        case 5:
            guard unsafe end - place >= 4 else { return stop() }
            wire = .fixed32
            bits = unsafe UInt64(UInt32(littleEndian: place.loadUnaligned(as: UInt32.self)))
            unsafe place += 4
        default: return stop()
        }
        return true
    }

    private mutating func stop() -> Bool {
        isBroken = true
        return false
    }

    /// A base-128 number of up to ten bytes; nil when it doesn't end.
    @inline(__always)
    private mutating func varint() -> UInt64? {
        guard unsafe place < end else { return nil }
        let first = unsafe place.load(as: UInt8.self)
        if first < 0x80 {
            unsafe place += 1
            return UInt64(first)
        }
        return longVarint()
    }

    private mutating func longVarint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while unsafe place < end, shift < 70 {
            let byte = unsafe place.load(as: UInt8.self)
            unsafe place += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }
}
