// A path in a backend's URL, which stands before ours.

extension Configuration.BackendURL {
    /// A path that may stand before ours, without the slash at its end; nil for what is none.
    ///
    /// Segments are not empty, and none is `.` or `..`: a server that resolves these (RFC 3986 §5.2.4)
    /// would be asked for something else than what stands here. A query or fragment has no place in it.
    static func base(_ text: Substring) -> String? {
        var text = text
        if text.last == "/" { text = text.dropLast() }
        guard !text.isEmpty else { return "" }
        guard text.first == "/" else { return nil }
        for segment in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard isSegment(segment) else { return nil }
            let plain = segment.lowercased().replacing("%2e", with: ".")
            guard plain != ".", plain != ".." else { return nil }
        }
        return String(text)
    }

    /// One `pchar` or more (RFC 3986 §3.3).
    private static func isSegment(_ text: Substring) -> Bool {
        var rest = text.utf8
        guard !rest.isEmpty else { return false }
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst(), let low = rest.popFirst(),
                    isHex(high), isHex(low)
                else { return false }
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                break
            default:
                guard "-._~!$&'()*+,;=:@".utf8.contains(byte) else { return false }
            }
        }
        return true
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        Character(Unicode.Scalar(byte)).isHexDigit
    }
}

extension ConfigurationReader {
    /// What is said of a path in front of gRPC's, which are `/package.Service/Method` everywhere.
    func pathOfGRPC(_ name: String, _ path: String) -> String {
        "`\(name)` can't have a path ('\(path)'), as gRPC has paths of its own: leave it out"
    }
}
