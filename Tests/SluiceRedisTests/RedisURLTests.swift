import SluiceRedis
import Testing

@Suite("URLs of a Redis")
struct RedisURLTests {
    private struct Case: Sendable {
        let text: String
        let place: RedisURL.Place
        var user: String?
        var password: String?
        var database = 0
        var shown: String?
    }

    private static let cases: [Case] = [
        Case(
            text: "redis://cache:6380/3",
            place: .host("cache", port: 6380),
            database: 3,
            shown: "redis://cache:6380/3"
        ),
        Case(text: "redis://cache", place: .host("cache", port: 6379)),
        Case(
            text: "rediss://:secret@cache/1",
            place: .host("cache", port: 6379),
            password: "secret",
            database: 1,
            shown: "rediss://cache:6379/1"
        ),
        Case(text: "redis://127.0.0.1/", place: .host("127.0.0.1", port: 6379)),
        Case(
            text: "redis://[::1]:7000/0",
            place: .host("::1", port: 7000),
            shown: "redis://[::1]:7000/0"
        ),
        Case(text: "redis://[::1]", place: .host("::1", port: 6379)),
        Case(
            text: "redis://:p%40ss%2Fw@h:1/2",
            place: .host("h", port: 1),
            password: "p@ss/w",
            database: 2,
            shown: "redis://h:1/2"
        ),
        Case(
            text: "redis://me:a:b@h",
            place: .host("h", port: 6379),
            user: "me",
            password: "a:b"
        ),
        Case(
            text: "unix:///run/sluice/redis.sock",
            place: .path("/run/sluice/redis.sock"),
            shown: "unix:///run/sluice/redis.sock"
        ),
        Case(
            text: "redis+sentinel://:secret@h1:26379,h2,[::1]:7/my%6Daster/2",
            place: .sentinels(
                [.init(host: "h1"), .init(host: "h2", port: 26379), .init(host: "::1", port: 7)],
                master: "mymaster"
            ),
            password: "secret",
            database: 2,
            shown: "redis+sentinel://h1:26379,h2:26379,[::1]:7/mymaster/2"
        ),
        Case(
            text: "rediss+sentinel://h1/m",
            place: .sentinels([.init(host: "h1")], master: "m"),
            shown: "rediss+sentinel://h1:26379/m/0"
        ),
        Case(text: "unix:///a@b%20c", place: .path("/a@b c")),
        Case(
            text: "unix://me:secret@/s?db=5",
            place: .path("/s"),
            user: "me",
            password: "secret",
            database: 5,
            shown: "unix:///s?db=5"
        ),
    ]

    @Test("What the contract names is understood, and the password isn't shown", arguments: cases)
    private func understood(_ example: Case) throws {
        let url = try #require(RedisURL(example.text))
        #expect(url.place == example.place)
        #expect(url.user == example.user && url.password == example.password)
        #expect(url.database == example.database)
        if let shown = example.shown { #expect(url.description == shown) }
    }

    @Test(
        "Anything else isn't",
        arguments: [
            "", "redis:", "redis://", "redis:///0", "redis://h:", "redis://h:0", "redis://h:65536",
            "redis://h/x", "redis://h/-1", "redis://h/1/2", "redis://::1", "redis://[::1", "h:6379",
            "rediss://", "rediss:///1", "http://h", "redis://pass@h", "redis://me:@h",
            "redis://:%4@h",
            "redis://:%zz@h", "redis://:%ff@h", "unix://", "unix:///", "unix://run/s",
            "unix:///s?database=1", "unix:///s?db=", "unix:///s?db=+1",
            "redis+sentinel://h1", "redis+sentinel://h1/", "redis+sentinel://,h1/m",
            "redis+sentinel://h1,h1/m", "redis+sentinel://h1/m/x", "redis+sentinel://h1/m/1/2",
            "redis+sentinel:///m", "redis+sentinel://h1:0/m", "redis+sentinel://h1/a%20b",
            "unix+sentinel://h1/m",
        ]
    )
    func refused(text: String) { #expect(RedisURL(text) == nil) }
}
