import SluiceCore

/// What a request's `cache-control` asks of us (RFC 9111 §5.2.1).
enum CacheControl {
    /// `no-store` keeps the cache out altogether; `no-cache` wants an answer that was asked for now.
    static func read(_ value: UnsafeRawBufferPointer) -> (noStore: Bool, noCache: Bool) {
        var (noStore, noCache) = (false, false)
        var start = 0
        while start < value.count {
            var end = start
            while end < value.count, unsafe value[end] != ASCII.comma { end += 1 }
            var (first, last) = (start, end)
            while first < last, unsafe isSpace(value[first]) { first += 1 }
            while last > first, unsafe isSpace(value[last - 1]) { last -= 1 }
            let directive = unsafe UnsafeRawBufferPointer(rebasing: value[first..<last])
            if unsafe ASCII.equal(directive, ignoringCaseOf: "no-store") { noStore = true }
            if unsafe ASCII.equal(directive, ignoringCaseOf: "no-cache") { noCache = true }
            start = end + 1
        }
        return (noStore, noCache)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }
}
