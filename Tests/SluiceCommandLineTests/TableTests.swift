import SluiceWire
import Testing

@testable import SluiceCommandLine

@Suite("Tables that commands print")
struct TableTests {
    static func json(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

    /// Two models as the admin API tells of them.
    static let models = """
        {"generation":7,"models":[
          {"name":"iris","cache":{"hitRatio":0.875},"revisions":[
            {"name":"v1","traffic":90,"configuredTraffic":50,"inFlight":3,"queued":2,
             "requestsPerSecond":1234.5,"errorRatio":0.0123,"p50Seconds":0.0015,"p99Seconds":1.5,
             "backends":[
               {"address":"a:1","health":"up","state":"ready"},
               {"address":"a:2","health":"ejected","state":"ready","reason":"5 failures"},
               {"address":"a:3","health":"up","state":"drain"}]},
            {"name":"v2","traffic":10,"configuredTraffic":10,"inFlight":0,"queued":0,
             "requestsPerSecond":9.96,"errorRatio":null,"p50Seconds":null,"p99Seconds":null,
             "backends":[]}]},
          {"name":"echo\\u001b[2J","cache":null,"revisions":[
            {"name":"v1","traffic":33.34,"inFlight":0,"requestsPerSecond":0,
             "backends":[{"address":"b:1","health":"down","reason":"refused"}]}]}]}
        """

    @Test("The status of models, to the letter")
    func status() throws {
        let models = try #require(try Self.json(Self.models)["models"]?.elements)
        let expected = """
            MODEL      REVISION  TRAFFIC           BACKENDS             IN FLIGHT  REQ/S  ERRORS     P50     P99  CACHE HITS
            iris       v1        90 % (file 50 %)  1/3 up, 1 ejected  3 + 2 queued   1234   1.2 %  1.5 ms  1.50 s      87.5 %
            iris       v2        10 %              0/0 up                        0   10.0       -       -       -      87.5 %
            echo?[2J   v1        33.34 %           0/1 up                        0      0       -       -       -         off
            """
        let lines = StatusTable.text(models).split(separator: "\n").map { Self.squeezed($0) }
        #expect(lines == expected.split(separator: "\n").map { Self.squeezed($0) })
        // As wide as each other, but for spaces at the end.
        let widths = Set(StatusTable.text(models).split(separator: "\n").map(\.count))
        #expect(widths.count == 1)
    }

    /// Runs of spaces as one bar: what stands where is another test's.
    private static func squeezed(_ line: Substring) -> String {
        var cells: [String] = [""]
        var spaces = 0
        for character in line {
            if character == " " {
                spaces += 1
                continue
            }
            if spaces > 1 { cells.append("") } else if spaces == 1 { cells[cells.count - 1] += " " }
            spaces = 0
            cells[cells.count - 1].append(character)
        }
        return cells.joined(separator: "|")
    }

    @Test("Where the screen is narrow columns go in their order, and the rest keeps its place")
    func narrow() throws {
        let models = try #require(try Self.json(Self.models)["models"]?.elements)
        let full = StatusTable.text(models)
        let width = full.prefix { $0 != "\n" }.count
        #expect(StatusTable.text(models, width: width) == full)
        var left = ["P50", "IN FLIGHT", "BACKENDS", "CACHE HITS"]
        var table = full
        while !left.isEmpty {
            let narrower = table.prefix { $0 != "\n" }.count - 1
            table = StatusTable.text(models, width: narrower)
            let heading = String(table.prefix { $0 != "\n" })
            #expect(!heading.contains(left.removeFirst()) && heading.count <= narrower)
            for name in left { #expect(heading.contains(name)) }
        }
        // Model, revision, traffic, rate, errors and the 99th percentile are never left out.
        #expect(StatusTable.text(models, width: 1) == table)
    }

    @Test(
        "Each backend with something wrong has a line, fifty at most, and no control character moves the cursor"
    )
    func troubles() throws {
        let models = try #require(try Self.json(Self.models)["models"]?.elements)
        #expect(
            StatusTable.troubles(models) == [
                "iris v1 a:2 is ejected: 5 failures", "echo?[2J v1 b:1 is down: refused",
            ]
        )
        let many = (0..<60).map { #"{"address":"a:\#($0)","health":"down","reason":"x"}"# }
        let model = try Self.json(
            #"{"name":"m","revisions":[{"name":"v1","backends":[\#(many.joined(separator: ","))]}]}"#
        )
        let lines = StatusTable.troubles([model])
        #expect(lines.count == 51 && lines.last == "and 10 more backends")
    }

    @Test(
        "Numbers have as many digits as help",
        arguments: [
            ("0", "0"), ("0.04", "0.0"), ("0.5", "0.5"), ("9.94", "9.9"), ("10", "10"),
            ("12345.6", "12346"), ("null", "-"),
        ]
    )
    func rates(number: String, text: String) throws {
        #expect(StatusTable.rate(try Self.json(number)) == text)
    }

    @Test("Cells end or begin where their column does; the last cell has no spaces behind it")
    func alignment() {
        let rows = [["NAME", "N", "NOTE"], ["a", "100", "x"], ["longer", "2", "yy"]]
        #expect(Terminal.table(rows) == "NAME    N    NOTE\na       100  x\nlonger  2    yy")
        #expect(
            Terminal.table(rows, numbers: 1)
                == "NAME      N  NOTE\na       100     x\nlonger    2    yy"
        )
        #expect(Terminal.table([]) == "" && Terminal.table([["A", "B"], ["x"]]) == "A  B\nx")
    }

    // MARK: - Traffic

    @Test("A shift shows both weights, a look one; a revision that is new had none before")
    func traffic() throws {
        let before = try Self.json(#"{"revisions":[{"name":"v1","traffic":100}]}"#)
        let after = try Self.json(
            #"{"revisions":[{"name":"v1","traffic":99.5},{"name":"v2","traffic":0.5}]}"#
        )
        #expect(
            TrafficCommand.table(before, after, isShift: true)
                == "REVISION  BEFORE  AFTER\nv1        100 %   99.5 %\nv2        0 %     0.5 %"
        )
        #expect(
            TrafficCommand.table(after, after, isShift: false)
                == "REVISION  TRAFFIC\nv1        99.5 %\nv2        0.5 %"
        )
    }

    // MARK: - Top

    private static let bold = "\u{1B}[1m"

    @Test("A frame has a heading, the table with its heading marked, and the last six events")
    func frame() throws {
        var frame = TopFrame()
        let events = (1...8).map {
            #"{"id":\#($0),"time":"-","message":"event \#($0)\u001b","who":"me"}"#
        }
        frame.take(
            try Self.json(Self.models),
            try Self.json(#"{"events":[\#(events.joined(separator: ","))]}"#),
            from: "http://a:1",
            width: 200
        )
        let lines = frame.lines
        #expect(lines[0].hasPrefix("\(Self.bold)sluice http://a:1  generation 7  "))
        #expect(lines[1] == "" && lines[2].hasPrefix("\u{1B}[7mMODEL"))
        #expect(lines.suffix(6) == (3...8).map { "-  event \($0)? (me)" }[...])
        #expect(frame.lastEvent == 8)
        // The next look asks for those behind the newest, and adds them.
        frame.take(
            try Self.json(Self.models),
            try Self.json(#"{"events":[{"id":9,"message":"nine","who":"you"}]}"#),
            from: "http://a:1",
            width: 200
        )
        #expect(frame.lines.suffix(2) == ["-  event 8? (me)", "-  nine (you)"])
    }

    @Test("What can't be asked stays on the screen, with why above it, until it can")
    func trouble() throws {
        var frame = TopFrame()
        frame.failed("refused", at: "http://a:1")
        #expect(frame.lines[0].contains("sluice http://a:1"))
        #expect(frame.lines[1].contains("refused; what stands here is older"))
        let nothing = try Self.json("{}")
        frame.take(try Self.json(Self.models), nothing, from: "http://a:1", width: 200)
        #expect(frame.lines[1] == "" && frame.lines.count > 3)
        let count = frame.lines.count
        frame.failed("refused", at: "http://a:1")
        #expect(frame.lines.count == count && frame.lines[1].contains("refused"))
        #expect(frame.lines[0].contains("generation 7"))
    }

    @Test("A line is cut where the screen ends; escape sequences take no place and stay whole")
    func cut() {
        #expect(LiveScreen.cut("abcdef", to: 3) == "abc")
        #expect(LiveScreen.cut("\u{1B}[7mabcdef\u{1B}[0m", to: 3) == "\u{1B}[7mabc\u{1B}[0m")
        #expect(LiveScreen.cut("äöü€", to: 3) == "äöü" && LiveScreen.cut("", to: 3) == "")
    }

    // MARK: - Lines below

    @Test("What limits a model and what is sent twice has a line each, where it is configured")
    func limits() throws {
        let model = try Self.json(
            """
            {"name":"m","rateLimitedPerSecond":2.5,"hedge":{"delaySeconds":0.05},
             "rateLimits":[{"rate":"10/s"},{"rate":"5/m","per":"header","callers":3}],
             "revisions":[{"name":"v1","concurrency":{"inUse":4,"limit":8},"rejectedPerSecond":0,
                           "hedgesPerSecond":1,"hedgeWinRatio":0.255},
                          {"name":"v2","concurrency":null}]}
            """
        )
        #expect(
            LimitText.lines(model) == [
                "m: rate limited to 10/s per model, 5/m per header (3 callers), 2.5 turned away a second",
                "m v1: 4 of 8 places in use (adaptiveConcurrency), 0 turned away a second",
                "m v1: 1.0 requests a second sent twice, after 50.0 ms, 26 % of the copies won",
                "m v2: - requests a second sent twice, after 50.0 ms",
            ]
        )
        #expect(LimitText.lines(try Self.json(#"{"name":"m","revisions":[{"name":"v1"}]}"#)) == [])
    }

    @Test(
        "A rollout's line says where it stands, and its step only while it goes on",
        arguments: [
            ("progressing", "m: rollout of v2 is progressing at 5 % (step 2 of 3), stalled: why"),
            ("paused", "m: rollout of v2 is paused at 5 % (step 2 of 3), stalled: why"),
            ("rolledBack", "m: rollout of v2 is rolled back, stalled: why"),
            ("promoted", "m: rollout of v2 is promoted, stalled: why"),
        ]
    )
    func rollout(status: String, line: String) throws {
        let rollout = try Self.json(
            #"{"revision":"v2","status":"\#(status)","weight":5,"step":2,"steps":[1,5,100],"stalled":true,"reason":"why"}"#
        )
        #expect(RolloutText.line(rollout, model: "m") == line)
    }

    @Test("A rollout in full has its gates as a table, with limits the right way round")
    func gates() throws {
        let rollout = try Self.json(
            """
            {"revision":"v2","status":"progressing","weight":5,"step":1,"steps":[5,100],"reason":"why",
             "baseline":"v1","since":"noon","nextCheck":"one","requests":12,"badAnswers":1,
             "check":{"result":"pass","reason":"good","canaryRequests":10,"baselineRequests":90,
               "clientFaults":2,"gates":[
                 {"gate":"success","canary":99.5,"baseline":99.9,"limit":98.9,"unit":"%","z":1.25,"result":"pass"},
                 {"gate":"p99","canary":12,"baseline":10,"limit":15,"unit":"ms","result":"pass"}]}}
            """
        )
        let lines = RolloutText.full(rollout, model: "m").split(separator: "\n").map(String.init)
        #expect(lines[1] == "steps 5, 100 %, baseline v1, here since noon, next check at one")
        #expect(lines[2].hasPrefix("GATE") && lines[3].hasPrefix("success  99.50 %"))
        #expect(lines[3].contains(">= 98.90 %") && lines[4].contains("<= 15.00 ms"))
        #expect(lines[5] == "a check at this moment: pass, good")
        #expect(
            lines[6]
                == "answers since the step began: 10 of the canary, 90 of the baseline, 2 left out as their clients' fault"
        )
        #expect(lines[7] == "answers in all: 12 of the canary, 1 of them bad" && lines.count == 8)
    }
}
