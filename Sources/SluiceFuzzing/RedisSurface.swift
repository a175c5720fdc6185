// Redis replies: [cuts][what the server sends]
//
// Every command gets exactly one outcome however the bytes are cut, each reply is what a plain reader
// of RESP2 finds in its place, and no key is given another key's answer.
import SluiceCore
import SluiceRedis

enum RedisSurface {
    private static let key: UInt64 = 97
    private static let answer = Array("answer".utf8)

    /// What a server that tells the truth has stored under `a`; in the corpus.
    static let stored: [UInt8] = {
        var value = ByteBuffer(pool: BufferPool())
        unsafe answer.withUnsafeBytes { answer in
            unsafe StoredValue(form: 1, freshUntilMilliseconds: 5)
                .appendHeader(key: key, answer: answer, to: &value)
        }
        return unsafe Array(value.bytes) + answer
    }()

    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard bytes.count > 1 else { return }
        let wire = unsafe bytes.after(1)
        var whole = Conversation()
        unsafe whole.receive(wire)
        var cut = Conversation()
        var fragments = unsafe Fragments(seed: bytes[0])
        try unsafe fragments.each(of: wire) { fragment in
            unsafe cut.receive(fragment)
            return true
        }
        try expect(cut.events == whole.events, "cut: \(cut.events), whole: \(whole.events)")
        var reader = unsafe PlainReplies(wire)
        for event in whole.events {
            guard case .reply(let token, let reply) = event else { continue }
            let plain = reader.next()
            try expect(plain == reply, "\(reply), not \(plain.map { "\($0)" } ?? "nothing")")
            if token == 5 { _ = RedisPage(reply) }
            if case .bytes(let value) = reply { try check(value) }
        }
        whole.end()
        let tokens = whole.events.compactMap { event -> UInt64? in
            switch event {
            case .value(let token), .reply(let token, _), .timedOut(let token), .lost(let token):
                token
            case .ready, .ended: nil
            }
        }
        try expect(tokens == Array(1...7), "outcomes of \(tokens)")
    }

    /// A value is believed only where it belongs to the key it came for.
    private static func check(_ value: [UInt8]) throws(Finding) {
        let isOurs = unsafe value.withUnsafeBytes { unsafe StoredValue($0, key: key) != nil }
        try expect(
            !isOurs || value.dropFirst(StoredValue.headerByteCount).elementsEqual(answer),
            "believed \(value)"
        )
    }

    /// A session that has been greeted and has sent one command of each kind, tokens 1 to 7.
    private struct Conversation: ~Copyable {
        private var session: RedisSession
        private(set) var events: [RedisEvent] = []

        init() {
            var settings = RedisSettings()
            settings.maximumReplyBytes = 1 << 16
            settings.maximumPending = 16
            session = RedisSession(
                settings,
                pool: BufferPool(),
                at: .zero,
                greetingDeadline: .zero + .seconds(1)
            )
            unsafe Array("+PONG\r\n".utf8).withUnsafeBytes { unsafe session.receive($0) }
            while session.nextEvent() != nil {}
            let never = Instant.distantFuture
            unsafe Array("abc".utf8).withUnsafeBytes { key in
                let one = unsafe UnsafeRawBufferPointer(rebasing: key[..<1])
                _ = unsafe session.get(one, token: 1, at: .zero, deadline: never)
                _ = unsafe session.getMany(
                    key,
                    keyByteCount: 1,
                    token: 2,
                    at: .zero,
                    deadline: never
                )
                _ = unsafe session.set(
                    one,
                    header: key,
                    body: key,
                    expiresInMilliseconds: 1,
                    token: 3,
                    at: .zero,
                    deadline: never
                )
                _ = session.remove([[1]], lazily: true, token: 4, at: .zero, deadline: never)
                _ = session.scan(
                    cursor: "0",
                    prefix: "s:",
                    count: 10,
                    token: 5,
                    at: .zero,
                    deadline: never
                )
                _ = session.ping(token: 6, at: .zero, deadline: never)
                _ = unsafe session.get(one, token: 7, at: .zero, deadline: never)
            }
        }

        mutating func receive(_ bytes: UnsafeRawBufferPointer) {
            unsafe session.receive(bytes)
            collect()
        }

        mutating func end() {
            session.connectionEnded()
            collect()
        }

        private mutating func collect() {
            while let event = session.nextEvent() {
                if case .value(let token) = event {
                    unsafe events.append(.reply(token: token, .bytes(Array(session.value))))
                } else {
                    events.append(event)
                }
            }
        }
    }
}

/// RESP2, read in the plainest way.
@safe
private struct PlainReplies {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    mutating func next() -> RedisReply? {
        guard unsafe index < bytes.count else { return nil }
        let kind = unsafe bytes[index]
        index += 1
        guard let line = line() else { return nil }
        switch kind {
        case UInt8(ascii: "+"): return .status(String(decoding: line, as: UTF8.self))
        case UInt8(ascii: "-"): return .error(String(decoding: line, as: UTF8.self))
        case UInt8(ascii: ":"): return number(line).map { .integer($0) }
        case UInt8(ascii: "$"):
            guard let count = number(line) else { return nil }
            if count == -1 { return .null }
            let end = index + Int(count)
            guard count >= 0, unsafe end + 2 <= bytes.count, unsafe bytes[end] == 0x0D,
                unsafe bytes[end + 1] == 0x0A
            else { return nil }
            defer { index = end + 2 }
            return unsafe .bytes(Array(bytes[index..<end]))
        case UInt8(ascii: "*"):
            guard let count = number(line) else { return nil }
            if count == -1 { return .null }
            var elements: [RedisReply] = []
            for _ in 0..<max(0, count) {
                guard let element = next() else { return nil }
                elements.append(element)
            }
            return .array(elements)
        default: return nil
        }
    }

    private mutating func line() -> [UInt8]? {
        var end = index
        while unsafe end + 1 < bytes.count {
            if unsafe bytes[end] == 0x0D && bytes[end + 1] == 0x0A {
                defer { index = end + 2 }
                return unsafe Array(bytes[index..<end])
            }
            end += 1
        }
        return nil
    }

    private func number(_ line: [UInt8]) -> Int64? {
        let digits = line.first == UInt8(ascii: "-") ? line[1...] : line[...]
        guard !digits.isEmpty, digits.allSatisfy({ 48...57 ~= $0 }) else { return nil }
        return Int64(String(decoding: line, as: UTF8.self))
    }
}
