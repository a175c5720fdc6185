import SluiceCore

/// What a `content-type` names (RFC 9110 §8.3.1): type and subtype compare without regard to case, and
/// parameters may follow.
package enum MediaType {
    /// Whether `value` names `type`, which must be lower case.
    package static func names(_ value: UnsafeRawBufferPointer, _ type: StaticString) -> Bool {
        guard unsafe begins(value, type) else { return false }
        let length = type.utf8CodeUnitCount
        guard value.count > length else { return true }
        return unsafe isEnd(value[length])
    }

    /// Whether `value` is gRPC's, in whichever encoding of messages (gRPC over HTTP/2, "Content-Type").
    package static func isGRPC(_ value: UnsafeRawBufferPointer) -> Bool {
        guard unsafe begins(value, "application/grpc") else { return false }
        guard value.count > 16 else { return true }
        return unsafe value[16] == UInt8(ascii: "+") || isEnd(value[16])
    }

    private static func isEnd(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ";") || byte == ASCII.space || byte == UInt8(ascii: "\t")
    }

    private static func begins(_ value: UnsafeRawBufferPointer, _ type: StaticString) -> Bool {
        // As nearly all write it.
        if unsafe ASCII.hasPrefix(value, type) { return true }
        let length = type.utf8CodeUnitCount
        guard value.count >= length else { return false }
        return unsafe ASCII.equal(
            UnsafeRawBufferPointer(rebasing: value[..<length]),
            ignoringCaseOf: type
        )
    }
}
