import SluiceCore
import SluiceRedis
import Testing

@Suite("A conversation with Redis")
struct RedisSessionTests {
    static func milliseconds(_ count: Int) -> Instant {
        Instant(nanoseconds: Int64(count) * 1_000_000)
    }

    @Test("The greeting is AUTH, SELECT and PING, as far as they are needed")
    func greeting() {
        #expect(RedisTestSession().written() == "*1\r\n$4\r\nPING\r\n")
        var settings = RedisSettings()
        settings.password = "se cret"
        settings.database = 12
        #expect(
            RedisTestSession(settings).written()
                == "*2\r\n$4\r\nAUTH\r\n$7\r\nse cret\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n"
                + "*1\r\n$4\r\nPING\r\n"
        )
        settings.user = "sluice"
        let test = RedisTestSession(settings)
        #expect(
            test.written().hasPrefix("*3\r\n$4\r\nAUTH\r\n$6\r\nsluice\r\n$7\r\nse cret\r\n")
        )
        test.get("a", 1)
        test.receive("+OK\r\n+OK\r\n")
        #expect(test.takeEvents().isEmpty && !test.canAnswer)
        test.receive("+PONG\r\n$-1\r\n")
        #expect(test.takeEvents() == [.ready, .reply(token: 1, .null)])
        #expect(test.canAnswer && test.pendingCount == 0)
    }

    @Test(
        "A refused greeting ends the session, and what was sent behind it is lost",
        arguments: ["-WRONGPASS invalid", "-NOAUTH Authentication required.", "-LOADING wait"]
    )
    func refused(line: String) {
        let test = RedisTestSession()
        test.get("a", 1)
        test.receive(line + "\r\n")
        #expect(
            test.takeEvents()
                == [.lost(token: 1), .ended(.refused(String(line.dropFirst())))]
        )
        #expect(!test.canAnswer && !test.get("a", 2) && !test.hasOutput)
    }

    @Test("Commands are written as RESP arrays, whatever bytes they carry")
    func commands() {
        let test = RedisTestSession.greeted()
        test.sendOneOfEach()
        #expect(
            test.written()
                == [
                    "*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
                    "*4\r\n$4\r\nMGET\r\n$2\r\nk1\r\n$2\r\nk2\r\n$2\r\nk3\r\n",
                    "*5\r\n$3\r\nSET\r\n$1\r\nb\r\n$5\r\nvalue\r\n$2\r\nPX\r\n$5\r\n60000\r\n",
                    "*3\r\n$6\r\nUNLINK\r\n$1\r\nx\r\n$2\r\nyy\r\n",
                    "*6\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nMATCH\r\n$6\r\ns:a\\**\r\n$5\r\nCOUNT\r\n"
                        + "$3\r\n100\r\n",
                    "*1\r\n$4\r\nPING\r\n", "*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
                ].joined()
        )
        #expect(!test.hasOutput)
    }

    @Test("Replies mean the same however the bytes are cut", .tags(.property))
    func cuts() {
        let wire = Array(RedisTestSession.answers.joined().utf8)
        let whole = RedisTestSession.greeted()
        whole.sendOneOfEach()
        whole.receive(wire)
        #expect(whole.takeEvents() == RedisTestSession.meanings)
        for cut in 0...wire.count {
            let test = RedisTestSession.greeted()
            test.sendOneOfEach()
            test.receive(Array(wire[..<cut]))
            test.receive(Array(wire[cut...]))
            #expect(test.takeEvents() == RedisTestSession.meanings, "cut at \(cut)")
        }
        let single = RedisTestSession.greeted()
        single.sendOneOfEach()
        for byte in wire { single.receive([byte]) }
        #expect(single.takeEvents() == RedisTestSession.meanings)
    }

    @Test("A page of keys reads back")
    func page() throws {
        guard case .reply(_, let reply) = RedisTestSession.meanings[4] else { return }
        let page = try #require(RedisPage(reply))
        #expect(page.cursor == "17" && page.keys == [Array("x".utf8), Array("yy".utf8)])
        #expect(RedisPage(.error("ERR")) == nil)
    }

    @Test("A late reply is dropped, and the next one still meets its command")
    func deadlines() {
        let test = RedisTestSession.greeted()
        test.get("a", 1, at: .zero, for: 20)
        test.get("b", 2, at: .zero, for: 50)
        #expect(test.deadline == RedisSessionTests.milliseconds(20))
        test.session.deadlineReached(at: RedisSessionTests.milliseconds(19))
        test.collect()
        #expect(test.takeEvents().isEmpty)
        test.session.deadlineReached(at: RedisSessionTests.milliseconds(20))
        test.collect()
        #expect(test.takeEvents() == [.timedOut(token: 1)])
        #expect(test.deadline == RedisSessionTests.milliseconds(50))
        test.receive("$1\r\nA\r\n$1\r\nB\r\n")
        #expect(test.takeEvents() == [.reply(token: 2, .bytes([66]))])
        #expect(test.deadline == .distantFuture)
        test.get("b", 4, at: RedisSessionTests.milliseconds(51), for: 1)
        test.receive("$-1\r\n")
        #expect(test.takeEvents() == [.reply(token: 4, .null)])
        // Nobody is told twice, and what was answered wakes nobody.
        test.get("c", 3, at: RedisSessionTests.milliseconds(60), for: 20)
        #expect(test.deadline == RedisSessionTests.milliseconds(80))
        test.session.deadlineReached(at: RedisSessionTests.milliseconds(90))
        test.session.connectionEnded()
        test.collect()
        #expect(test.takeEvents() == [.timedOut(token: 3), .ended(.disconnected)])
    }

    @Test("A silent server ends the session: at the greeting's deadline, later at the stall limit")
    func stall() {
        let mute = RedisTestSession()
        #expect(mute.deadline == RedisSessionTests.milliseconds(1000))
        mute.session.deadlineReached(at: RedisSessionTests.milliseconds(1000))
        mute.collect()
        #expect(mute.takeEvents() == [.ended(.stalled)])

        let test = RedisTestSession.greeted()
        test.get("a", 1)
        test.session.deadlineReached(at: RedisSessionTests.milliseconds(20))
        #expect(test.deadline == RedisSessionTests.milliseconds(5000))
        test.get("b", 2, at: RedisSessionTests.milliseconds(4990))
        test.session.deadlineReached(at: RedisSessionTests.milliseconds(5000))
        test.collect()
        #expect(test.takeEvents() == [.timedOut(token: 1), .lost(token: 2), .ended(.stalled)])
        #expect(test.deadline == .distantFuture)
    }

    @Test(
        "A reply that its command can't have ends the session",
        arguments: [
            "+OK\r\n", ":1\r\n", "*0\r\n", "*1\r\n$1\r\na\r\n", "$1\r\na\r\n$1\r\nb\r\n",
            "$1\r\na\r\n+OK\r\n", "$1\r\na\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
            "$1\r\na\r\n*3\r\n$1\r\nx\r\n:1\r\n$-1\r\n",
            "$1\r\na\r\n*3\r\n$1\r\nx\r\n-ERR\r\n*0\r\n",
        ]
    )
    func unexpected(wire: String) {
        let test = RedisTestSession.greeted()
        test.get("a", 1)
        test.getMany("kkk", of: 1, 2)
        test.receive(wire)
        let events = test.takeEvents()
        #expect(events.last == .ended(.unexpectedReply))
        #expect(test.ending == .unexpectedReply)
        test.receive("$1\r\na\r\n")
        #expect(test.takeEvents().isEmpty)
    }

    @Test("A reply nobody asked for ends the session")
    func unasked() {
        let test = RedisTestSession.greeted()
        test.receive("+PONG\r\n")
        #expect(test.takeEvents() == [.ended(.unexpectedReply)])
    }

    @Test(
        "What isn't RESP2 ends the session",
        arguments: [
            "HTTP/1.1 400 Bad Request\r\n", "$x\r\n", "$-2\r\n", "$1\r\nab\r\n", "$1\r\naXY",
            "$1\r\na\rX",
            ":12a\r\n", "*-2\r\n", "*99999999999\r\n", "%1\r\n", "_\r\n", "\r\n", "\0",
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ]
    )
    func malformed(wire: String) {
        let test = RedisTestSession.greeted()
        test.get("a", 1)
        test.receive(wire)
        let events = test.takeEvents()
        #expect(events.first == .lost(token: 1))
        guard case .ended(.malformed) = events.last else {
            Issue.record("\(events)")
            return
        }
    }

    @Test("Replies beyond the limits end the session, before they are whole")
    func tooLarge() {
        var settings = RedisSettings()
        settings.maximumReplyBytes = 1 << 20
        let zeros = [UInt8](repeating: 0x30, count: 1 << 16)
        for start in [
            "$2000000\r\n", "$9223372036854775807\r\n", "-", ":", "+", "*", "$", "*65537\r\n",
        ] {
            let test = RedisTestSession.greeted(settings)
            test.get("a", 1)
            test.receive(start)
            var sent = 0
            while test.ending == nil, sent < 1 << 22 {
                test.receive(zeros)
                sent += zeros.count
            }
            #expect(sent <= (1 << 20) + 3 << 16, "after \(start)")
            if start.count == 1 { #expect(sent <= 2 << 16) }
            #expect(test.takeEvents().last == .ended(.tooLarge), "after \(start)")
        }
        // Long enough to be read whole before the limit on what is unread, and not ended by CR LF.
        let short = RedisTestSession.greeted(settings)
        short.get("a", 1)
        short.receive("$2\r\nabcd")
        guard case .ended(.malformed(let text)) = short.takeEvents().last else {
            Issue.record("a wrong length went unnoticed")
            return
        }
        #expect(text.contains("long"))
        let test = RedisTestSession.greeted(settings)
        test.get("a", 1)
        test.receive(
            Array("$1048576\r\n".utf8) + [UInt8](repeating: 7, count: 1 << 20) + [13, 10]
        )
        #expect(
            test.takeEvents()
                == [.reply(token: 1, .bytes([UInt8](repeating: 7, count: 1 << 20)))]
        )
    }

    @Test("A full queue or output refuses the next command and keeps the others")
    func bounds() {
        var settings = RedisSettings()
        settings.maximumPending = 8
        settings.maximumOutputBytes = 200
        let test = RedisTestSession.greeted(settings)
        for token in 1...8 as ClosedRange<UInt64> { #expect(test.get("a", token)) }
        #expect(!test.get("a", 9))
        test.receive(String(repeating: "$-1\r\n", count: 8))
        #expect(test.takeEvents().count == 8)
        #expect(test.hasOutput)
        #expect(!test.set("k", [UInt8](repeating: 1, count: 150), 10))
        _ = test.written()
        #expect(test.set("k", [UInt8](repeating: 1, count: 150), 11))
        #expect(!test.set("k", [1], 12, milliseconds: 5) || test.pendingCount == 2)
    }

    // MARK: - Masters

    @Test(
        "Where a master is required, another role ends the session, and no answer about it doesn't",
        arguments: [
            ("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", nil),
            ("-NOPERM this user has no permissions to run the 'role' command\r\n", nil),
            (
                "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:0\r\n",
                RedisFailure.notMaster("slave")
            ),
            ("*2\r\n$8\r\nsentinel\r\n*0\r\n", .notMaster("sentinel")),
            ("*1\r\n:1\r\n", .unexpectedReply), ("*0\r\n", .unexpectedReply),
            ("+OK\r\n", .unexpectedReply),
        ]
    )
    func role(answer: String, failure: RedisFailure?) {
        var settings = RedisSettings()
        settings.requiresMaster = true
        let test = RedisTestSession(settings)
        #expect(test.written() == "*1\r\n$4\r\nROLE\r\n*1\r\n$4\r\nPING\r\n")
        test.receive(answer + "+PONG\r\n")
        #expect(test.ending == failure && test.canAnswer == (failure == nil))
    }

    @Test("A Sentinel is asked for a master, and says host and port, or nothing")
    func masterAddress() {
        for (answer, reply) in [
            (
                "*2\r\n$2\r\nh1\r\n$4\r\n6379\r\n",
                RedisReply.array([.bytes(Array("h1".utf8)), .bytes(Array("6379".utf8))])
            ),
            ("*-1\r\n", .null), ("-ERR unknown command\r\n", .error("ERR unknown command")),
        ] {
            let test = RedisTestSession.greeted()
            let isSent = test.session.masterAddress(
                of: "mine",
                token: 7,
                at: .zero,
                deadline: .distantFuture
            )
            #expect(isSent)
            #expect(
                test.written()
                    == "*3\r\n$8\r\nSENTINEL\r\n$23\r\nGET-MASTER-ADDR-BY-NAME\r\n$4\r\nmine\r\n"
            )
            test.receive(answer)
            #expect(test.takeEvents() == [.reply(token: 7, reply)])
        }
    }
}
