import SluiceCore

/// What a request's `cache-control` asks of us (RFC 9111 §5.2.1).
enum CacheControl {
    /// `no-store` keeps the cache out altogether; `no-cache` wants an answer that was asked for now.
    static func read(_ value: UnsafeRawBufferPointer) -> (noStore: Bool, noCache: Bool) {
        var (noStore, noCache) = (false, false)
        unsafe ListText.forEach(in: value) { directive in
            if unsafe ASCII.equal(directive, ignoringCaseOf: "no-store") { noStore = true }
            if unsafe ASCII.equal(directive, ignoringCaseOf: "no-cache") { noCache = true }
        }
        return (noStore, noCache)
    }
}
