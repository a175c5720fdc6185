import SluiceCore

/// Walks the items of a comma-separated list of tokens (RFC 9110 §5.6.1).
///
/// Empty items are skipped, as a recipient must. An item that isn't a token is returned all the
/// same and marks the list as malformed.
@safe
struct TokenList {
    private let text: UnsafeRawBufferPointer
    private var place = 0
    private(set) var isWellFormed = true

    init(_ text: UnsafeRawBufferPointer) { unsafe self.text = unsafe text }

    mutating func next() -> UnsafeRawBufferPointer? {
        while unsafe place < text.count {
            var end = place
            while unsafe end < text.count, unsafe text[end] != ASCII.comma { end += 1 }
            var (start, stop) = (place, end)
            place = end + 1
            while start < stop, unsafe isWhiteSpace(text[start]) { start += 1 }
            while stop > start, unsafe isWhiteSpace(text[stop - 1]) { stop -= 1 }
            guard stop > start else { continue }
            let item = unsafe UnsafeRawBufferPointer(rebasing: text[start..<stop])
            if unsafe !FieldValidation.isToken(item) { isWellFormed = false }
            return unsafe item
        }
        return nil
    }

    private func isWhiteSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }
}
