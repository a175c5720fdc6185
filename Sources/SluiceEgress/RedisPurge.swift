import SluiceCore
import SluiceRedis

/// The removal of all keys that begin alike, page by page.
///
/// One command is under way at a time, so that look-ups pass between the pages.
struct RedisPurge {
    /// Keys Redis looks at for a page: some 100 us of its time.
    static let pageKeyCount = 512
    /// Purges that wait for their turn, the one under way included.
    static let waitingMaximum = 64

    let token: UInt64
    let prefix: String
    let deadline: Instant
    private(set) var cursor = "0"
    private(set) var removed = 0
    private var askedCount = 0

    init(token: UInt64, prefix: String, deadline: Instant) {
        self.token = token
        self.prefix = prefix
        self.deadline = deadline
    }

    /// Whether the page that was read last was the last.
    var isAtEnd: Bool { cursor == "0" }

    /// Takes a page; returns the keys to remove, which do begin as they should.
    ///
    /// Nil when the page can't be one of Redis's: a cursor has 64 bits, 20 digits.
    mutating func read(_ page: RedisPage) -> [[UInt8]]? {
        guard (1...20).contains(page.cursor.utf8.count) else { return nil }
        cursor = page.cursor
        let keys = page.keys.filter { $0.starts(with: prefix.utf8) }
        askedCount = keys.count
        return keys
    }

    /// Counts the keys that were there; a number that can't be true counts for what it may.
    mutating func countRemoved(_ count: Int64) { removed += min(max(0, Int(count)), askedCount) }
}
