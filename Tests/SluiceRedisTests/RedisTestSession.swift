import SluiceCore
import SluiceRedis

/// A session with its buffers, driven by texts.
final class RedisTestSession {
    var session: RedisSession
    private let pool = BufferPool()
    private(set) var events: [RedisEvent] = []

    init(_ settings: RedisSettings = RedisSettings(), at now: Instant = .zero) {
        session = RedisSession(
            settings,
            pool: pool,
            at: now,
            greetingDeadline: now + .seconds(1)
        )
    }

    /// A session whose greeting has been answered and drained.
    static func greeted(_ settings: RedisSettings = RedisSettings()) -> RedisTestSession {
        let test = RedisTestSession(settings)
        _ = test.written()
        test.receive("+PONG\r\n")
        test.events = []
        return test
    }

    // `#expect` can't look into a value that can't be copied.
    var canAnswer: Bool { session.canAnswer }
    var hasOutput: Bool { unsafe !session.outputBytes.isEmpty }
    var pendingCount: Int { session.pendingCount }
    var ending: RedisFailure? { session.ending }
    var deadline: Instant { session.deadline }

    /// What the session has written since the last call.
    func written() -> String {
        let output = unsafe session.outputBytes
        defer { session.outputWritten(output.count) }
        return unsafe String(decoding: output, as: UTF8.self)
    }

    func receive(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe session.receive($0) }
        collect()
    }

    func receive(_ text: String) { receive(Array(text.utf8)) }

    /// Takes what was told; a value that was lent as the reply it is.
    func collect() {
        while let event = session.nextEvent() {
            if case .value(let token) = event {
                unsafe events.append(.reply(token: token, .bytes(Array(session.value))))
            } else {
                events.append(event)
            }
        }
    }

    func takeEvents() -> [RedisEvent] {
        defer { events = [] }
        return events
    }

    @discardableResult
    func get(_ key: String, _ token: UInt64, at now: Instant = .zero, for: Int = 20) -> Bool {
        unsafe Array(key.utf8).withUnsafeBytes {
            unsafe session.get($0, token: token, at: now, deadline: now + .milliseconds(`for`))
        }
    }

    @discardableResult
    func getMany(_ keys: String, of count: Int, _ token: UInt64) -> Bool {
        unsafe Array(keys.utf8).withUnsafeBytes {
            unsafe session.getMany(
                $0,
                keyByteCount: count,
                token: token,
                at: .zero,
                deadline: .distantFuture
            )
        }
    }

    @discardableResult
    func set(_ key: String, _ value: [UInt8], _ token: UInt64, milliseconds: Int = 60_000) -> Bool {
        unsafe Array(key.utf8).withUnsafeBytes { key in
            unsafe value.withUnsafeBytes { value in
                unsafe session.set(
                    key,
                    header: UnsafeRawBufferPointer(rebasing: value[..<(value.count / 2)]),
                    body: UnsafeRawBufferPointer(rebasing: value[(value.count / 2)...]),
                    expiresInMilliseconds: milliseconds,
                    token: token,
                    at: .zero,
                    deadline: .distantFuture
                )
            }
        }
    }

    /// One command of each kind, tokens 1 to 7.
    func sendOneOfEach() {
        get("a", 1)
        getMany("k1k2k3", of: 2, 2)
        set("b", Array("value".utf8), 3)
        _ = session.remove(
            [Array("x".utf8), Array("yy".utf8)],
            lazily: true,
            token: 4,
            at: .zero,
            deadline: .distantFuture
        )
        _ = session.scan(
            cursor: "0",
            prefix: "s:a*",
            count: 100,
            token: 5,
            at: .zero,
            deadline: .distantFuture
        )
        _ = session.ping(token: 6, at: .zero, deadline: .distantFuture)
        get("", 7)
    }

    /// What a server answers to ``sendOneOfEach()``, and what that means.
    static let answers = [
        "$3\r\nA\r\n\r\n", "*3\r\n$2\r\nv1\r\n$-1\r\n$0\r\n\r\n", "+OK\r\n", ":2\r\n",
        "*2\r\n$2\r\n17\r\n*2\r\n$1\r\nx\r\n$2\r\nyy\r\n", "+PONG\r\n",
        "-LOADING Redis is loading\r\n",
    ]
    static let meanings: [RedisEvent] = [
        .reply(token: 1, .bytes(Array("A\r\n".utf8))),
        .reply(token: 2, .array([.bytes(Array("v1".utf8)), .null, .bytes([])])),
        .reply(token: 3, .status("OK")),
        .reply(token: 4, .integer(2)),
        .reply(
            token: 5,
            .array([
                .bytes(Array("17".utf8)), .array([.bytes(Array("x".utf8)), .bytes([121, 121])]),
            ])
        ),
        .reply(token: 6, .status("PONG")),
        .reply(token: 7, .error("LOADING Redis is loading")),
    ]
}
