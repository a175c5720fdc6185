import ArgumentParser
import Foundation
import SluiceWire
import Testing

@testable import SluiceCommandLine

// Commands as processes: what they say, where, and how they end.
@Suite("How commands end")
struct CommandEndTests {
    /// Runs a command line as the process's own, with `text` as its configuration where it says FILE.
    static func run(_ line: String, _ text: String = "") -> Never {
        let folder = FileManager.default.temporaryDirectory
        let number = ProcessInfo.processInfo.processIdentifier
        let file = folder.appending(path: "sluice-command-\(number).yaml").path
        _ = FileManager.default.createFile(atPath: file, contents: Data(text.utf8))
        let words = line.split(separator: " ").map { $0 == "FILE" ? file : String($0) }
        do {
            var command = try Sluice.parseAsRoot(words)
            try command.run()
        } catch {
            try? FileManager.default.removeItem(atPath: file)
            Sluice.exit(withError: error)
        }
        try? FileManager.default.removeItem(atPath: file)
        exit(0)
    }

    private static func text(_ bytes: [UInt8]?) -> String {
        String(decoding: bytes ?? [], as: UTF8.self)
    }

    @Test("A good configuration is checked in silence and ends 0")
    func good() async {
        let result = await #expect(
            processExitsWith: .exitCode(0),
            observing: [\.standardOutputContent]
        ) {
            CommandEndTests.run(
                "check --config FILE",
                """
                listeners: [{address: "127.0.0.1:8080"}]
                models: [{name: iris, revisions: [{name: v1, backends: [{rest: "http://127.0.0.1:8001"}]}]}]
                """
            )
        }
        let text = Self.text(result?.standardOutputContent)
        #expect(!text.contains("iris"))
    }

    @Test("A bad one ends 1 and says file, line and column")
    func bad() async {
        let result = await #expect(
            processExitsWith: .exitCode(1),
            observing: [\.standardErrorContent]
        ) {
            CommandEndTests.run(
                "check --config FILE",
                """
                listeners: [{address: "127.0.0.1:8080"}]
                models: [{name: iris, revisions: [{name: v1, backendz: [{rest: "http://127.0.0.1:8001"}]}]}]
                """
            )
        }
        let text = Self.text(result?.standardErrorContent)
        #expect(text.contains(".yaml:2:") && text.contains("backendz"), "\(text)")
    }

    @Test("A file that isn't there ends 1 as well, and an option that isn't 64")
    func absent() async {
        await #expect(processExitsWith: .exitCode(1)) {
            CommandEndTests.run("check --config /nowhere/at/all.yaml")
        }
        await #expect(processExitsWith: .exitCode(64)) {
            CommandEndTests.run("check --configuration FILE")
        }
    }

    @Test("Where no gateway listens a command ends 1, with what to do")
    func noGateway() async {
        let result = await #expect(
            processExitsWith: .exitCode(1),
            observing: [\.standardErrorContent]
        ) {
            CommandEndTests.run("status --admin unix:///nowhere/at/all.sock")
        }
        let text = Self.text(result?.standardErrorContent)
        #expect(text.contains("sluice status: "), "\(text)")
        #expect(text.contains("`--admin` says where a gateway's admin API is"))
    }

    @Test("--data that isn't JSON ends 1 before anything is sent")
    func noJSON() async {
        let result = await #expect(
            processExitsWith: .exitCode(1),
            observing: [\.standardErrorContent]
        ) {
            CommandEndTests.run("predict iris --data [1, --url unix:///nowhere")
        }
        let text = Self.text(result?.standardErrorContent)
        #expect(text.contains("--data is not JSON"))
    }

    // MARK: - Predictions over gRPC

    @Test("A prediction's JSON becomes a framed message, and a framed answer JSON")
    func messages() throws {
        let json = #"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1.5,2]}]}"#
        let frame = try PredictMessage.frame(json: Array(json.utf8), model: "iris")
        #expect(
            frame[0] == 0 && frame.count == 5 + Int(frame[1...4].reduce(0) { $0 << 8 | UInt32($1) })
        )
        // model_name is field 1 (Open Inference Protocol v2, ModelInferRequest).
        #expect(Array(frame[5..<11]) == [0x0A, 4] + Array("iris".utf8))
        // model_name, outputs with name, datatype, shape, and contents of int64.
        let output: [UInt8] =
            [0x0A, 1, 0x79, 0x12, 5] + Array("INT64".utf8) + [0x1A, 1, 2, 0x2A, 4, 0x1A, 2, 7, 9]
        let answer = [0x0A, 4] + Array("iris".utf8) + [0x2A, UInt8(output.count)] + output
        let text = String(
            decoding: try PredictMessage.json(frame: [0, 0, 0, 0, UInt8(answer.count)] + answer),
            as: UTF8.self
        )
        let document = try JSONParser.parse(Array(text.utf8))
        #expect(document["model_name"]?.text == "iris")
        let tensor = try #require(document["outputs"]?.elements?.first)
        #expect(tensor["name"]?.text == "y" && tensor["datatype"]?.text == "INT64")
        #expect(tensor["data"]?.elements?.compactMap(\.integer) == [7, 9])
    }

    @Test("What isn't a V2 request is refused with a sentence, not sent")
    func noRequest() {
        for text in [#"{"instances":[1]}"#, "[]", #"{"inputs":[{"name":"x"}]}"#] {
            do {
                _ = try PredictMessage.frame(json: Array(text.utf8), model: "m")
                Issue.record("\(text) is taken")
            } catch {
                #expect(!error.sentence.isEmpty)
            }
        }
    }
}
