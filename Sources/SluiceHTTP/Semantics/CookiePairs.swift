import SluiceCore

/// Walks the pairs of one `cookie` field: `name=value; name=value` (RFC 6265 §4.2.1).
///
/// As tolerant as servers are: blanks around a pair, empty pairs and pairs without `=` are skipped.
/// Quotes are part of a value (§5.2), and names differ by case.
@safe
package struct CookiePairs {
    private let text: UnsafeRawBufferPointer
    private var place = 0

    /// The pairs of `text`, which must stay valid meanwhile.
    package init(_ text: UnsafeRawBufferPointer) { unsafe self.text = text }

    /// The next pair, or nil at the end.
    package mutating func next() -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)? {
        while unsafe place < text.count {
            var end = place
            var equals = -1
            while unsafe end < text.count, unsafe text[end] != ASCII.semicolon {
                if equals < 0, unsafe text[end] == CookiePairs.equalsSign { equals = end }
                end += 1
            }
            let start = place
            place = end + 1
            guard equals >= 0 else { continue }
            return unsafe (trimmed(start, equals), trimmed(equals + 1, end))
        }
        return nil
    }

    private static let equalsSign = UInt8(ascii: "=")

    private func trimmed(_ first: Int, _ end: Int) -> UnsafeRawBufferPointer {
        var (first, end) = (first, end)
        while first < end, unsafe isBlank(text[first]) { first += 1 }
        while end > first, unsafe isBlank(text[end - 1]) { end -= 1 }
        return unsafe UnsafeRawBufferPointer(rebasing: text[first..<end])
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }
}
