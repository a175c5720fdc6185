import SluiceCore

/// Names as they stand between two slashes of a path.
package enum PathSegment {
    /// `name` with all that isn't unreserved as percent signs and digits (RFC 3986 §2.1, §2.3).
    ///
    /// A name from a message may hold anything, line ends and slashes too; in a path it stays one name.
    package static func escaped(_ name: String) -> String {
        guard !name.utf8.allSatisfy(isUnreserved) else { return name }
        var bytes: [UInt8] = []
        for byte in name.utf8 {
            if isUnreserved(byte) { bytes.append(byte) } else { appendEscape(byte, to: &bytes) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends a byte of a segment: as it is where a segment may have it (RFC 3986 §3.3, pchar), else
    /// escaped.
    static func append(_ byte: UInt8, to path: inout [UInt8]) {
        if isUnreserved(byte) || "!$&'()*+,;=:@".utf8.contains(byte) {
            path.append(byte)
        } else {
            appendEscape(byte, to: &path)
        }
    }

    /// Whether a segment is one that URLs are shortened by (RFC 3986 §5.2.4).
    static func isDots(_ segment: ArraySlice<UInt8>) -> Bool {
        segment.elementsEqual(".".utf8) || segment.elementsEqual("..".utf8)
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    private static func appendEscape(_ byte: UInt8, to path: inout [UInt8]) {
        let digits = Array("0123456789ABCDEF".utf8)
        path += [ASCII.percent, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
}
