/// Writes a protobuf message field by field (Protocol Buffers, "Encoding").
package struct WireWriter {
    /// What has been written.
    package var bytes: [UInt8] = []

    /// An empty message.
    package init() {}

    /// Writes a number as a base-128 varint, without a tag.
    package mutating func raw(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Writes an integer or enum field.
    package mutating func varint(field: Int, _ value: UInt64) {
        raw(varint: UInt64(field) << 3)
        raw(varint: value)
    }

    /// Writes a bool field.
    package mutating func bool(field: Int, _ value: Bool) { varint(field: field, value ? 1 : 0) }

    /// Writes a 32-bit fixed field, such as a float's bits.
    package mutating func fixed32(field: Int, _ value: UInt32) {
        raw(varint: UInt64(field) << 3 | 5)
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }

    /// Writes a 64-bit fixed field, such as a double's bits.
    package mutating func fixed64(field: Int, _ value: UInt64) {
        raw(varint: UInt64(field) << 3 | 1)
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }

    /// Writes a bytes field.
    package mutating func bytes(field: Int, _ value: some Collection<UInt8>) {
        raw(varint: UInt64(field) << 3 | 2)
        raw(varint: UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    /// Writes a string field.
    package mutating func string(field: Int, _ value: String) { bytes(field: field, value.utf8) }

    /// Writes an embedded message.
    package mutating func message(field: Int, _ write: (inout WireWriter) -> Void) {
        var inner = WireWriter()
        write(&inner)
        bytes(field: field, inner.bytes)
    }
}
