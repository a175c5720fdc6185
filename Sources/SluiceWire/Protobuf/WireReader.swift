/// Why bytes aren't a protobuf message.
package struct WireFailure: Error, Equatable, Sendable {
    /// Where in the message.
    package let offset: Int
    /// What is wrong there.
    package let sentence: StaticString

    package static func == (left: WireFailure, right: WireFailure) -> Bool {
        left.offset == right.offset
    }
}

/// One field of a message: its number and its value, borrowed.
@safe
package struct WireField {
    /// A value by wire type (Protocol Buffers, "Encoding").
    @safe
    package enum Value {
        case varint(UInt64)
        case fixed32(UInt32)
        case fixed64(UInt64)
        case bytes(UnsafeRawBufferPointer)
    }

    package let number: Int
    package let value: Value
}

/// Reads a protobuf message field by field, without knowing its schema.
///
/// Values of length-delimited fields are borrowed from the message. Groups, which nobody has used
/// since proto2, are refused.
@safe
package struct WireReader {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    /// How many bytes have been read.
    package var offset: Int { index }

    /// A reader over `bytes`, which must outlive it.
    package init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    /// The next field, or nil at the message's end.
    package mutating func nextField() throws(WireFailure) -> WireField? {
        guard unsafe index < bytes.count else { return nil }
        let start = index
        let tag = try varint()
        let number = Int(truncatingIfNeeded: tag >> 3)
        guard number > 0, number < 1 << 29 else {
            throw WireFailure(offset: start, sentence: "a field number out of range")
        }
        switch tag & 7 {
        case 0: return WireField(number: number, value: .varint(try varint()))
        case 1:
            let raw = try unsafe take(8)
            return WireField(
                number: number,
                value: .fixed64(unsafe UInt64(littleEndian: raw.loadUnaligned(as: UInt64.self)))
            )
        case 5:
            let raw = try unsafe take(4)
            return WireField(
                number: number,
                value: .fixed32(unsafe UInt32(littleEndian: raw.loadUnaligned(as: UInt32.self)))
            )
        case 2:
            let length = try varint()
            guard length <= UInt64(unsafe bytes.count - index) else {
                throw WireFailure(offset: start, sentence: "a length beyond the message's end")
            }
            return unsafe WireField(number: number, value: .bytes(unsafe try take(Int(length))))
        default: throw WireFailure(offset: start, sentence: "a group or an unknown wire type")
        }
    }

    /// A base-128 number of up to ten bytes.
    package mutating func varint() throws(WireFailure) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        let start = index
        while unsafe index < bytes.count, shift < 70 {
            let byte = unsafe bytes[index]
            index += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw WireFailure(offset: start, sentence: "a number that does not end")
    }

    /// Whether all bytes have been read.
    package var isAtEnd: Bool { unsafe index == bytes.count }

    private mutating func take(_ count: Int) throws(WireFailure) -> UnsafeRawBufferPointer {
        guard unsafe count <= bytes.count - index else {
            throw WireFailure(offset: index, sentence: "a value beyond the message's end")
        }
        defer { index += count }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[index..<(index + count)])
    }
}
