import SluiceHTTP
import Testing

@Suite("Looking for fields and cookies")
struct FieldKeyTests {
    /// All values under `key`, and the one that is taken as its value.
    static func look(_ key: FieldKey, _ fields: [(String, String)]) -> (all: [String], one: String?)
    {
        let arena = HTTPArena()
        let block = arena.blocks.take()
        defer { arena.blocks.give(block) }
        for (name, value) in fields { block.append(named: name, text: value) }
        var found: [String] = []
        let isFound = unsafe key.anyValue(in: block) { value in
            unsafe found.append(String(decoding: value, as: UTF8.self))
            return false
        }
        #expect(!isFound)
        #expect(unsafe key.anyValue(in: block) { _ in true } == !found.isEmpty)
        return (
            found, unsafe key.value(in: block).map { unsafe String(decoding: $0, as: UTF8.self) }
        )
    }

    static let head = [
        (":method", "POST"), (":authority", "models.example"), ("x-user-id", ""),
        ("user-agent", "curl/8"), ("x-user-id", "alice"), ("x-user-ie", "eve"),
        ("cookie", "a=1"), ("X-User-Id", "never"), ("x-user-id", "bob"), ("user-agent", "other"),
    ]

    @Test("A field is found by its whole name, known or not, as often as it stands there")
    func fields() {
        #expect(Self.look(FieldKey(header: "x-user-id"), Self.head).all == ["", "alice", "bob"])
        #expect(Self.look(FieldKey(header: "x-user-id"), Self.head).one == "alice")
        #expect(Self.look(FieldKey(header: "user-agent"), Self.head).all == ["curl/8", "other"])
        #expect(Self.look(FieldKey(header: "x-user"), Self.head).all.isEmpty)
        #expect(Self.look(FieldKey(header: "accept"), Self.head).one == nil)
        #expect(Self.look(FieldKey(header: "x-user-id"), [(":method", "GET")]).one == nil)
        #expect(Self.look(FieldKey(header: "cookie"), Self.head).one == "a=1")
    }

    @Test("The host is what both versions of HTTP call it")
    func host() {
        #expect(Self.look(FieldKey(header: "host"), Self.head).one == "models.example")
    }

    @Test("A field that was removed, or stands behind 300 others, makes no difference")
    func places() {
        let arena = HTTPArena()
        let block = arena.blocks.take()
        defer { arena.blocks.give(block) }
        block.append(named: "user-agent", text: "first")
        block.remove(.userAgent)
        for number in 0..<300 { block.append(named: "x-\(number)", text: "\(number)") }
        block.append(named: "user-agent", text: "second")
        block.append(named: "accept", text: "late")
        for (name, value) in [("user-agent", "second"), ("accept", "late"), ("x-299", "299")] {
            let found = unsafe FieldKey(header: name).value(in: block)
            #expect(unsafe found.map { unsafe String(decoding: $0, as: UTF8.self) } == value)
        }
    }

    @Test(
        "Cookies are pairs between semicolons (RFC 6265 §4.2.1), leniently read",
        arguments: [
            (["uid=7"], ["7"]), (["a=1; uid=7; b=2"], ["7"]), (["a=1;uid=7"], ["7"]),
            (["a=1", "uid=7"], ["7"]), (["uid=7; uid=8", "uid=9"], ["7", "8", "9"]),
            (["  uid = 7 ;"], ["7"]), (["uid=a=b=="], ["a=b=="]), (["uid=\"7\""], ["\"7\""]),
            (["uid="], [""]), (["UID=7"], []), (["xuid=7; uidx=8"], []), (["uid"], []),
            (["uid; a=uid=7"], []), ([";;; ;=; =7"], []), ([""], []),
            (["a=1; b=2;\tuid=7\t"], ["7"]),
        ] as [([String], [String])]
    )
    func cookies(fields: [String], expected: [String]) {
        let found = Self.look(FieldKey(cookie: "uid"), fields.map { ("cookie", $0) })
        #expect(found.all == expected)
        #expect(found.one == expected.first { !$0.isEmpty })
    }
}
