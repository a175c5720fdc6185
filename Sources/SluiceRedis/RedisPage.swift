/// One page of a SCAN: where to go on, and the keys found.
package struct RedisPage: Hashable, Sendable {
    /// What to send next; `0` means that all keys have been seen.
    package let cursor: String
    /// The keys of this page; a key may come on more than one.
    package let keys: [[UInt8]]

    /// Reads the reply to a scan; nil for an error reply.
    package init?(_ reply: RedisReply) {
        guard case .array(let parts) = reply, parts.count == 2, case .bytes(let cursor) = parts[0],
            case .array(let keys) = parts[1]
        else { return nil }
        self.cursor = String(decoding: cursor, as: UTF8.self)
        self.keys = keys.compactMap { if case .bytes(let key) = $0 { key } else { nil } }
    }

    /// The pattern that matches exactly the keys that begin with `prefix`.
    ///
    /// A model may be called `a*`: characters that mean something in a pattern are escaped
    /// (redis.io, "KEYS": `h\*llo`).
    static func pattern(prefix: String) -> String {
        var pattern = ""
        for character in prefix.unicodeScalars {
            if ["*", "?", "[", "]", "\\", "^"].contains(character) { pattern += "\\" }
            pattern.unicodeScalars.append(character)
        }
        return pattern + "*"
    }
}
