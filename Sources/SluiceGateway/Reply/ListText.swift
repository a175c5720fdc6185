import SluiceCore

/// A field's value that is a list (RFC 9110 §5.6.1).
enum ListText {
    /// Calls `body` with each member, the space around it left out; a member may be empty.
    static func forEach(
        in list: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        var start = 0
        while start < list.count {
            var end = start
            while end < list.count, unsafe list[end] != ASCII.comma { end += 1 }
            var (first, last) = (start, end)
            while first < last, unsafe isSpace(list[first]) { first += 1 }
            while last > first, unsafe isSpace(list[last - 1]) { last -= 1 }
            unsafe body(UnsafeRawBufferPointer(rebasing: list[first..<last]))
            start = end + 1
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }
}
