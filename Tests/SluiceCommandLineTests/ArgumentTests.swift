import ArgumentParser
import SluiceCore
import SluiceWire
import Testing

@testable import SluiceCommandLine

@Suite("What can be typed behind sluice")
struct ArgumentTests {
    private static func parse<Command: ParsableCommand>(
        _ line: String,
        as: Command.Type
    ) throws -> Command {
        let words = line.split(separator: " ").map(String.init)
        return try #require(try Sluice.parseAsRoot(words) as? Command)
    }

    /// What is said of a line that is wrong, and the code it ends with.
    private static func refusal(_ line: String) -> (text: String, code: Int32)? {
        do {
            _ = try Sluice.parseAsRoot(line.split(separator: " ").map(String.init))
            return nil
        } catch {
            return (Sluice.fullMessage(for: error), Sluice.exitCode(for: error).rawValue)
        }
    }

    @Test("Each command takes what its help says, and has its defaults")
    func good() throws {
        let serve = try Self.parse("serve --config a.yaml --admin 0.0.0.0:1", as: ServeCommand.self)
        #expect(serve.config == "a.yaml" && serve.admin == "0.0.0.0:1" && !serve.printConfig)
        let quick = try Self.parse(
            "serve --model a=http://b:1 --model c=h2c://d:2 --cache 5m --redis unix:///r --print-config",
            as: ServeCommand.self
        )
        #expect(quick.model == ["a=http://b:1", "c=h2c://d:2"] && quick.listen == "0.0.0.0:8080")
        #expect(quick.cache == "5m" && quick.redis == "unix:///r" && quick.printConfig)
        #expect(try Self.parse("check --config a.yaml", as: CheckCommand.self).config == "a.yaml")
        #expect(try Self.parse("check --schema", as: CheckCommand.self).schema)
        let predict = try Self.parse(
            "predict iris --grpc --json --data @f --revision v2",
            as: PredictCommand.self
        )
        #expect(predict.model == "iris" && predict.grpc && predict.json && predict.data == "@f")
        #expect(predict.revision == "v2" && predict.url == "http://127.0.0.1:8080")
        let status = try Self.parse("status", as: StatusCommand.self)
        #expect(status.model == nil && status.options.admin == "http://127.0.0.1:9901")
        #expect(!status.options.json && status.options.tokenFile == nil)
        let top = try Self.parse(
            "top iris --interval 0.1 --admin unix:///a --token-file t --json",
            as: TopCommand.self
        )
        #expect(top.model == "iris" && top.interval == 0.1 && top.options.admin == "unix:///a")
        #expect(top.options.tokenFile == "t" && top.options.json)
        let traffic = try Self.parse("traffic m v1=90 v2=10 --dry-run", as: TrafficCommand.self)
        #expect(traffic.weights == ["v1=90", "v2=10"] && traffic.dryRun && traffic.warm)
        #expect(try !Self.parse("traffic m --no-warm --reset", as: TrafficCommand.self).warm)
        let start = try Self.parse(
            "canary start m v2 --steps 1,50,100 --p99-ratio 1.5 --max-p99 250ms --failure-limit 3",
            as: CanaryStart.self
        )
        #expect(start.revision == "v2" && start.steps == "1,50,100" && start.p99Ratio == 1.5)
        #expect(start.maxP99 == "250ms" && start.failureLimit == 3 && start.baseline == nil)
        #expect(try Self.parse("canary status m --watch", as: CanaryStatus.self).watch)
        #expect(try Self.parse("canary pause m", as: CanaryPause.self).model == "m")
        #expect(try Self.parse("canary resume m", as: CanaryResume.self).model == "m")
        #expect(try Self.parse("canary promote m", as: CanaryPromote.self).model == "m")
        #expect(try Self.parse("canary abort m", as: CanaryAbort.self).model == "m")
        #expect(try Self.parse("demo --once", as: DemoCommand.self).once)
    }

    /// A wrong line, and what of it has to be in the sentence.
    static let wrong = [
        ("serve", "give either --config FILE or --model NAME=URL,URL…"),
        (
            "serve --config a --model b=http://c:1",
            "give either --config FILE or --model NAME=URL,URL…"
        ),
        ("check", "give either --config FILE or --schema"),
        ("check --config a --schema", "give either --config FILE or --schema"),
        ("predict", "Missing expected argument '<model>'"),
        ("predict iris", "Missing expected argument '--data <data>'"),
        ("top --interval 0", "--interval is a number of seconds from 0.1 to 3600"),
        ("top --interval 3601", "--interval is a number of seconds from 0.1 to 3600"),
        ("top --interval soon", "The value 'soon' is invalid for '--interval <interval>'"),
        ("traffic", "Missing expected argument '<model>'"),
        ("traffic m --reset v1=1", "--reset takes neither weights nor --dry-run"),
        ("traffic m --reset --dry-run", "--reset takes neither weights nor --dry-run"),
        ("traffic m v1", "a weight is REVISION=PERCENT, such as v2=10, not 'v1'"),
        ("traffic m v1=1=2", "a weight is REVISION=PERCENT, such as v2=10, not 'v1=1=2'"),
        ("traffic m v1=", "a weight is REVISION=PERCENT, such as v2=10, not 'v1='"),
        ("canary start", "Missing expected argument '<model>'"),
        ("canary start m --steps 1,all", "--steps are percentages such as 1,5,25,100, not 'all'"),
        ("canary abort", "Missing expected argument '<model>'"),
        ("status a b", "Unexpected argument 'b'"),
        ("status --frob", "Unknown option '--frob'"),
        ("frob", "Unexpected argument 'frob'"),
    ]

    @Test("A wrong line ends 64 with a sentence that says what and how", arguments: wrong)
    func bad(line: String, sentence: String) throws {
        let refusal = try #require(Self.refusal(line))
        #expect(refusal.code == 64)
        #expect(refusal.text.contains(sentence), "\(refusal.text)")
    }

    @Test(
        "Help and the version aren't mistakes",
        arguments: ["--help", "--version", "status --help"]
    )
    func help(line: String) throws {
        // Where the parser has a command for it, that prints it.
        #expect((Self.refusal(line)?.code ?? 0) == 0)
    }

    @Test("sluice-model takes times with a unit, and shares from 0 to 1")
    func sampleModel() throws {
        let words = ["--delay", "5ms", "--jitter", "2s", "--fail-rate", "0.5", "--revision", "v2"]
        let command = try SampleModelCommand.parse(words)
        #expect(
            command.delay.duration == .milliseconds(5) && command.jitter.duration == .seconds(2)
        )
        #expect(
            command.failRate == 0.5 && "\(command.revision)" == "v2" && command.concurrency == 0
        )
        for wrong in [
            ["--delay", "5"], ["--delay", "soon"], ["--fail-rate", "1.1"], ["--fail-rate", "-0.1"],
            ["--concurrency", "-1"], ["--revision", "v3"],
        ] {
            #expect(throws: (any Error).self, "\(wrong)") { try SampleModelCommand.parse(wrong) }
        }
    }

    // MARK: - URLs

    @Test(
        "Where a gateway is can be said in these ways",
        arguments: [
            ("http://127.0.0.1:80", "127.0.0.1:80", false), ("http://a:80/", "a:80", false),
            ("a:80", "a:80", false), ("h2c://a:80", "a:80", true),
            ("http://[::1]:80", "[::1]:80", false), ("unix:///run/s", "unix:///run/s", false),
            ("http+unix:///run/s", "unix:///run/s", false),
            ("h2c+unix:///run/s", "unix:///run/s", true),
        ]
    )
    func urls(text: String, name: String, isHTTP2: Bool) throws {
        let url = try ClientURL(text)
        #expect(url.name.text == name && url.isHTTP2 == isHTTP2)
        // The same place over HTTP/2 is the same place.
        let over = try ClientURL(ClientURL.overHTTP2(text))
        #expect(over.name.text == name && over.isHTTP2)
    }

    @Test(
        "What isn't a place is quoted without a password",
        arguments: [
            "http://a", "https://a:1", "http://a:1/path", "http://:1", "a:port", "",
            "http://me:secret@a", "ftp://me:secret@a:1",
        ]
    )
    func noURL(text: String) {
        do {
            _ = try ClientURL(text)
            Issue.record("\(text) is taken")
        } catch {
            #expect(!error.sentence.contains("secret") && error.sentence.hasPrefix("'"))
        }
    }

    // MARK: - Traffic

    @Test("Weights are sent as they were typed, and what is no number is quoted")
    func weights() throws {
        let body = try TrafficCommand.body(["v1=99.99", "a b=0.01"])
        #expect(String(decoding: body.serialized, as: UTF8.self) == #"{"v1":99.99,"a b":0.01}"#)
        do {
            _ = try TrafficCommand.body(["v1=half"])
            Issue.record("half is taken")
        } catch {
            #expect(error.sentence == "'half' is not a percentage, such as 10 or 0.5")
        }
    }

    @Test("A name with any character is one segment of a path")
    func segments() {
        #expect(AdminClient.segment("iris-v1_2.x~y:z") == "iris-v1_2.x~y:z")
        #expect(AdminClient.segment("a/b?c d%") == "a%2Fb%3Fc%20d%25")
    }
}
