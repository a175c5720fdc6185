import SluiceCore

/// The static table (RFC 7541 Appendix A), written once, before anybody can see it.
@safe
struct HPACKStatic: BitwiseCopyable, @unchecked Sendable {
    @safe
    struct Entry: BitwiseCopyable {
        let name: FieldName
        let nameText: UnsafeRawBufferPointer
        let value: UnsafeRawBufferPointer
    }

    /// Entries by their index, which begins at 1.
    private let entries: UnsafePointer<Entry>

    /// How many entries there are; the dynamic table's indices follow.
    static let count = 61

    /// The one table; it lives as long as the process.
    static let shared = HPACKStatic()

    private init() {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: HPACKStatic.count + 1)
        for (index, (name, value)) in HPACKStatic.texts.enumerated() {
            let nameText = unsafe HPACKStatic.bytes(name)
            unsafe (entries + index).initialize(
                to: Entry(
                    name: .lookup(nameText),
                    nameText: nameText,
                    value: HPACKStatic.bytes(value)
                )
            )
        }
        unsafe self.entries = UnsafePointer(entries)
    }

    private static func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// Entry number `index`, from 1 to ``count``.
    @inline(__always)
    subscript(index: Int) -> Entry { unsafe entries[index] }

    /// The index of an entry with this name, or 0.
    @inline(__always)
    static func nameIndex(_ name: FieldName) -> Int {
        switch name {
        case .authority: 1
        case .method: 2
        case .path: 4
        case .scheme: 6
        case .status: 8
        case .acceptEncoding: 16
        case .accept: 19
        case .allow: 22
        case .authorization: 23
        case .cacheControl: 24
        case .contentEncoding: 26
        case .contentLength: 28
        case .contentType: 31
        case .cookie: 32
        case .date: 33
        case .expect: 35
        case .host: 38
        case .location: 46
        case .proxyAuthenticate: 48
        case .proxyAuthorization: 49
        case .retryAfter: 53
        case .server: 54
        case .transferEncoding: 57
        case .userAgent: 58
        case .via: 60
        default: 0
        }
    }

    /// The index of a pseudo-field that the table has with this very value, or 0.
    @inline(__always)
    static func index(of name: FieldName, _ value: UnsafeRawBufferPointer) -> Int {
        // The others are worth a place in the dynamic table, where they are found as fast.
        switch name {
        case .method:
            if unsafe spells(value, "POST") { return 3 }
            return unsafe spells(value, "GET") ? 2 : 0
        case .path: return unsafe spells(value, "/") ? 4 : 0
        case .scheme:
            if unsafe spells(value, "http") { return 6 }
            return unsafe spells(value, "https") ? 7 : 0
        case .status:
            if unsafe spells(value, "200") { return 8 }
            if unsafe spells(value, "400") { return 12 }
            if unsafe spells(value, "404") { return 13 }
            return unsafe spells(value, "500") ? 14 : 0
        default: return 0
        }
    }

    @inline(__always)
    private static func spells(_ value: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard value.count == count, let base = value.baseAddress else { return false }
        return unsafe ShortBytes.equal(base, text.utf8Start, count: count)
    }

    // Number 0 is nobody's.
    private static let texts: [(StaticString, StaticString)] = [
        ("", ""),
        (":authority", ""),
        (":method", "GET"),
        (":method", "POST"),
        (":path", "/"),
        (":path", "/index.html"),
        (":scheme", "http"),
        (":scheme", "https"),
        (":status", "200"),
        (":status", "204"),
        (":status", "206"),
        (":status", "304"),
        (":status", "400"),
        (":status", "404"),
        (":status", "500"),
        ("accept-charset", ""),
        ("accept-encoding", "gzip, deflate"),
        ("accept-language", ""),
        ("accept-ranges", ""),
        ("accept", ""),
        ("access-control-allow-origin", ""),
        ("age", ""),
        ("allow", ""),
        ("authorization", ""),
        ("cache-control", ""),
        ("content-disposition", ""),
        ("content-encoding", ""),
        ("content-language", ""),
        ("content-length", ""),
        ("content-location", ""),
        ("content-range", ""),
        ("content-type", ""),
        ("cookie", ""),
        ("date", ""),
        ("etag", ""),
        ("expect", ""),
        ("expires", ""),
        ("from", ""),
        ("host", ""),
        ("if-match", ""),
        ("if-modified-since", ""),
        ("if-none-match", ""),
        ("if-range", ""),
        ("if-unmodified-since", ""),
        ("last-modified", ""),
        ("link", ""),
        ("location", ""),
        ("max-forwards", ""),
        ("proxy-authenticate", ""),
        ("proxy-authorization", ""),
        ("range", ""),
        ("referer", ""),
        ("refresh", ""),
        ("retry-after", ""),
        ("server", ""),
        ("set-cookie", ""),
        ("strict-transport-security", ""),
        ("transfer-encoding", ""),
        ("user-agent", ""),
        ("vary", ""),
        ("via", ""),
        ("www-authenticate", ""),
    ]
}
