import SluiceEgress
import SluiceInference
import SluiceSimulation
import Testing

// A V2 caller that sends JSON and asks for binary tensors gets them, though the runtime answers in JSON.
@Suite("Binary outputs of runtimes that answer in JSON")
struct BinaryOutputTests {
    private static let input = #"{"name":"x","datatype":"FP32","shape":[1],"data":[1]}"#
    private static let output = #"{"name":"y","datatype":"FP32","shape":[2],"data":[1.5,-2]}"#
    private static let answer = #"{"model_name":"m","id":"7","outputs":[\#(output)]}"#
    private static let numbers: [UInt8] = [0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0]

    private static func request(_ members: String) -> String {
        #"{"id":"7","inputs":[\#(input)]\#(members)}"#
    }

    /// Sends `body` to a runtime that answers so, and returns all that its caller gets.
    private static func ask(
        _ body: String,
        _ runtime: RuntimeKind = .mlserver,
        status: Int = 200,
        answer: String = answer
    ) throws -> [UInt8] {
        let scene = try SingleBackendScene(.http1, runtime: Runtime(runtime))
        let server = try RawServer(loop: scene.backend, on: SingleBackendScene.model) {
            let text = String(decoding: $0.input, as: UTF8.self)
            guard text.hasSuffix(body) else { return }
            #expect(!text.contains("inference-header-content-length"))
            let head =
                "HTTP/1.1 \(status) OK\r\ncontent-type: application/json\r\ncontent-length: \(answer.utf8.count)\r\n\r\n"
            $0.say((head + answer).utf8)
        }
        let head =
            "POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
        let peer = try RawPeer(
            loop: scene.client,
            to: SingleBackendScene.address,
            saying: Array((head + body.prefix(9)).utf8)
        )
        try scene.world.pass(.milliseconds(20))
        peer.say(Array(body.dropFirst(9).utf8))
        try scene.world.pass(.milliseconds(100))
        let heard = peer.input
        try scene.end {
            peer.close()
            server.close()
        }
        return heard
    }

    private static func text(_ heard: [UInt8]) -> String { String(decoding: heard, as: UTF8.self) }

    @Test(
        "What asks for them gets them, by the request's word or an output's",
        arguments: [
            #","parameters":{"binary_data_output":true}"#,
            #","outputs":[{"name":"y","parameters":{"binary_data":true}}]"#,
            #","parameters":{"binary_data_output":true},"outputs":[{"name":"y"}]"#,
        ]
    )
    func binary(members: String) throws {
        let heard = try Self.ask(Self.request(members))
        let text = Self.text(heard)
        #expect(text.hasPrefix("HTTP/1.1 200 "), "\(text)")
        #expect(text.contains("inference-header-content-length: "))
        #expect(text.contains(#""binary_data_size":8"#) && text.contains(#""id":"7""#))
        #expect(Array(heard.suffix(8)) == Self.numbers)
    }

    @Test(
        "What asks for JSON, or for nothing, gets what the runtime said",
        arguments: [
            "", #","parameters":{"binary_data_output":false}"#,
            #","outputs":[{"name":"y","parameters":{"binary_data":false}}]"#,
            #","parameters":{"binary_data_output":true},"outputs":[{"name":"y","parameters":{"binary_data":false}}]"#,
        ]
    )
    func json(members: String) throws {
        let text = Self.text(try Self.ask(Self.request(members)))
        #expect(text.hasPrefix("HTTP/1.1 200 ") && text.contains(Self.output), "\(text)")
        #expect(!text.contains("inference-header-content-length"))
    }

    @Test("A refusal, and an answer without tensors, pass as they came")
    func others() throws {
        let body = Self.request(#","parameters":{"binary_data_output":true}"#)
        let refused = Self.text(try Self.ask(body, status: 422, answer: #"{"error":"no"}"#))
        #expect(refused.hasPrefix("HTTP/1.1 422 ") && refused.hasSuffix(#"{"error":"no"}"#))
        let odd =
            #"{"model_name":"m","outputs":[{"name":"y","datatype":"ODD","shape":[1],"data":[{}]}]}"#
        let heard = Self.text(try Self.ask(body, answer: odd))
        #expect(heard.hasPrefix("HTTP/1.1 200 ") && heard.hasSuffix(odd), "\(heard)")
        // One that has the extension has answered as it was asked to.
        let plain = Self.text(try Self.ask(body, .triton))
        #expect(plain.hasSuffix(Self.answer))
    }
}
