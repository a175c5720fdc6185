import SluiceGateway
import SluiceInference
import Testing

@Suite("What a backend is found to be")
struct RuntimeInquiryTests {
    typealias Check = RuntimeInquiry.Check

    /// What a server answers to the questions; 404 to any that isn't there.
    struct Server: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var answers: [Check: (status: Int, body: String)]
        var isReadyInV2 = true
        var hasTensors = false
    }

    /// The questions that are asked, and what comes of them.
    private func inquire(_ server: Server) -> (asked: [Check], step: RuntimeInquiry.Step) {
        var inquiry = RuntimeInquiry(
            isReadyInV2: server.isReadyInV2,
            hasTensors: server.hasTensors
        )
        var asked = [Check.server]
        while let check = asked.last {
            let answer = server.answers[check] ?? (404, "not here")
            let step = inquiry.take(check, status: answer.status, Array(answer.body.utf8))
            guard case .ask(let next) = step, asked.count < 10 else { return (asked, step) }
            asked.append(next)
        }
        return (asked, .open)
    }

    private static func description(_ name: String, _ rest: String) -> (Int, String) {
        (200, #"{"name":"\#(name)"\#(rest)}"#)
    }

    private static let status = (200, #"{"name":"m","ready":true}"#)
    private static let versions = (
        200, #"{"model_version_status":[{"version":"1","state":"AVAILABLE"}]}"#
    )
    private static let metadata = (200, #"{"name":"m","inputs":[],"outputs":[]}"#)

    static let known: [(Server, Runtime, [Check])] = [
        (
            Server(
                testDescription: "Triton",
                answers: [
                    .server: description(
                        "triton",
                        #","version":"2.58","extensions":["classification","binary_tensor_data"]"#
                    )
                ]
            ), Runtime(.triton), [.server]
        ),
        (
            Server(
                testDescription: "MLServer",
                answers: [.server: description("mlserver", #","version":"1.7","extensions":[]"#)]
            ), Runtime(.mlserver), [.server]
        ),
        (
            Server(
                testDescription: "KServe's server",
                answers: [
                    .server: description("kserve", #","version":"0.21.0","extensions":["x"]"#)
                ]
            ), Runtime(.kserve), [.server]
        ),
        (
            Server(
                testDescription: "KServe's server before binary tensors",
                answers: [
                    .server: description("kserve", #","version":"0.13.1","extensions":["x"]"#),
                    .statusV1: status,
                ]
            ), Runtime(.v2json, speaksV1: true, speaksV2: true), [.server, .statusV1]
        ),
        (
            Server(
                testDescription: "one that lists its extensions without binary tensors",
                answers: [
                    .server: description("ours", #","extensions":["model_repository"]"#),
                    .metadataV2: metadata,
                ]
            ), Runtime(.v2json), [.server, .statusV1, .predictV1, .metadataV2]
        ),
        (
            Server(
                testDescription: "one that lists binary tensors",
                answers: [
                    .server: description("ours", #","extensions":["binary_tensor_data"]"#),
                    .statusV1: status,
                ]
            ), Runtime(.generic), [.server, .statusV1]
        ),
        (
            Server(
                testDescription: "one that lists nothing, with V1's prediction but not its status",
                answers: [
                    .server: description("ours", ""), .predictV1: (405, "Method Not Allowed"),
                ]
            ), Runtime(.generic), [.server, .statusV1, .predictV1]
        ),
        (
            Server(
                testDescription: "one that doesn't describe itself, but its model",
                answers: [.metadataV2: metadata]
            ), Runtime(.generic, speaksV1: false, speaksV2: true),
            [.server, .statusV1, .predictV1, .metadataV2]
        ),
        (
            Server(
                testDescription: "TensorFlow Serving",
                answers: [.server: (404, "{}"), .statusV1: versions, .metadataV2: (400, "")],
                isReadyInV2: false
            ), Runtime(.tfserving), [.server, .statusV1, .metadataV2]
        ),
        (
            Server(
                testDescription: "one with V1 as KServe has it",
                answers: [.statusV1: status],
                isReadyInV2: false
            ), Runtime(.v1), [.server, .statusV1, .metadataV2]
        ),
        (
            Server(
                testDescription: "one with nothing but the prediction",
                answers: [.predictV1: (405, "")],
                isReadyInV2: false
            ), Runtime(.v1), [.server, .statusV1, .predictV1, .metadataV2]
        ),
        (
            Server(
                testDescription: "one that has no paths for GET, where its tensors are configured",
                answers: [:],
                isReadyInV2: false,
                hasTensors: true
            ), Runtime(.v1), [.server, .statusV1, .predictV1, .metadataV2]
        ),
        (
            Server(
                testDescription: "one that answers anything to everything",
                answers: [.server: (200, "hello"), .statusV1: (200, "hello")]
            ), Runtime(.generic), [.server, .statusV1]
        ),
    ]

    @Test("Few questions settle what a server is", arguments: known)
    func found(server: Server, runtime: Runtime, asked: [Check]) {
        let (questions, step) = inquire(server)
        #expect(step == .found(runtime, isSettled: true))
        #expect(questions == asked)
    }

    @Test("A model that isn't loaded yet leaves open what its server speaks, and it is asked again")
    func unloaded() {
        let described = Server(
            testDescription: "V2",
            answers: [.server: Self.description("ours", #","extensions":[]"#)]
        )
        // Until then requests pass as they came, but for binary tensors, which it doesn't read.
        let expected = Runtime(.v2json, speaksV1: true, speaksV2: true)
        #expect(inquire(described).step == .found(expected, isSettled: false))
        let silent = Server(testDescription: "none", answers: [:], isReadyInV2: false)
        #expect(inquire(silent).step == .open)
    }

    @Test("A failure on the way tells nothing", arguments: Check.allCases, [0, 401, 500, 503])
    func failures(check: Check, status: Int) {
        var server = Server(testDescription: "", answers: [:], isReadyInV2: false)
        server.answers[check] = (status, #"{"name":"mlserver","ready":true}"#)
        let (asked, step) = inquire(server)
        #expect(asked.last == check && step == .open)
    }
}
