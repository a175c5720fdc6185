import SluiceGRPC
import SluiceHTTP
import SluiceInference
import SluiceWire

/// One request of a simulated client, what its answer must be, and what came of it.
final class EchoCall {
    enum Kind: CaseIterable {
        /// JSON both ways.
        case v1, v2
        /// Tensors behind the JSON.
        case binary
        /// A model nobody has.
        case unmatchedName
        /// A question the gateway answers itself.
        case live
        case grpc, grpcStream, grpcUnmatched

        var isGRPC: Bool { self == .grpc || self == .grpcStream || self == .grpcUnmatched }
    }

    enum Outcome: Equatable {
        case pending
        /// Answered with this HTTP status, or gRPC status, as a whole.
        case answered(Int)
        /// Broken off, and the client knows.
        case failed(String)
        /// Given up by the client itself.
        case cancelled
        /// Neither answered nor failed for longer than any time-out.
        case hung
    }

    let id: String
    let kind: Kind
    /// Nanoseconds after the client's start.
    var start: Int64 = 0
    /// How many pieces the body is sent in, and the nanoseconds between them.
    var fragments = 1
    var pause: Int64 = 0
    /// When the client loses interest, after the start.
    var progressTimeout: Int64?
    /// Nanoseconds for which bytes of the answer lie unread.
    var slowness: Int64 = 0

    private(set) var body: [UInt8] = []
    private(set) var headerLength: Int?
    private var payload: [UInt8] = []
    private var messageCount = 1

    var outcome = Outcome.pending
    /// What is wrong with the answer; the test fails with it.
    var complaint: String?
    /// Whether the request went to a connection.
    var wasSent = false

    // The answer as it comes.
    var status = 0
    var grpcStatus: Int?
    var answerLength: Int?
    var answer: [UInt8] = []

    init(id: String, kind: Kind, payload: [UInt8], messageCount: Int) {
        self.id = id
        self.kind = kind
        self.payload = payload
        self.messageCount = messageCount
        compose()
    }

    /// Takes the last byte off the body, so that it is no JSON any more.
    func spoil() { body.removeLast() }

    var method: StaticString { kind == .live ? "GET" : "POST" }

    var path: StaticString {
        switch kind {
        case .v1: "/v1/models/echo:predict"
        case .v2, .binary: "/v2/models/echo/infer"
        case .unmatchedName: "/v2/models/nobody/infer"
        case .live: "/v2/health/live"
        case .grpc, .grpcUnmatched: "/inference.GRPCInferenceService/ModelInfer"
        case .grpcStream: "/inference.GRPCInferenceService/ModelStreamInfer"
        }
    }

    /// Notes how it ended; the second end of a call is a fault in itself.
    func settle(_ outcome: Outcome) {
        guard self.outcome == .pending else {
            complaint = "ended twice: \(self.outcome), then \(outcome)"
            return
        }
        self.outcome = outcome
    }

    // MARK: - What is sent

    private func compose() {
        switch kind {
        case .live: body = []
        case .v1: body = Array("{\"instances\":[\"\(id)\",\(numbers)]}".utf8)
        case .v2, .unmatchedName:
            body = Array(
                "{\"id\":\"\(id)\",\"inputs\":[{\"name\":\"\(id)\",\"datatype\":\"UINT8\",\"shape\":[\(payload.count)],\"data\":[\(numbers)]}]}"
                    .utf8
            )
        case .binary:
            let json =
                "{\"id\":\"\(id)\",\"parameters\":{\"binary_data_output\":true},\"inputs\":[{\"name\":\"\(id)\",\"datatype\":\"UINT8\",\"shape\":[\(payload.count)],\"parameters\":{\"binary_data_size\":\(payload.count)}}]}"
            headerLength = json.utf8.count
            body = Array(json.utf8) + payload
        case .grpc, .grpcUnmatched: body = frame(message(0))
        case .grpcStream: body = (0..<messageCount).flatMap { frame(message($0)) }
        }
    }

    private var numbers: String { payload.map(String.init).joined(separator: ",") }

    private func message(_ number: Int) -> [UInt8] {
        var request = InferenceRequest()
        request.modelName = kind == .grpcUnmatched ? "nobody" : "echo"
        request.id = "\(id).\(number)"
        request.inputs = [
            Tensor(name: id, datatype: .uint8, shape: [payload.count], bytes: payload)
        ]
        return (try? request.message) ?? []
    }

    private func frame(_ message: [UInt8]) -> [UInt8] {
        [0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: message.count >> $0) } + message
    }

    // MARK: - What must come back

    /// Judges an answer that came whole.
    func evaluate() {
        if kind.isGRPC {
            settle(.answered(grpcStatus ?? -1))
            judgeGRPC()
        } else {
            settle(.answered(status))
            judgeREST()
        }
    }

    private func judgeREST() {
        switch (kind, status) {
        case (.v1, 200):
            let wanted = Array("{\"predictions\":[\"\(id)\",\(numbers)]}".utf8)
            if answer != wanted { complain("another answer than its own") }
        case (.v2, 200):
            guard let document = try? JSONParser.parse(answer) else {
                complain("not JSON")
                return
            }
            let output = document["outputs"]?.elements?.first
            let data = output?["data"]?.elements?.compactMap(\.integer)
            if document["id"]?.text != id || output?["name"]?.text != id
                || data != payload.map(Int.init)
            {
                complain("another answer than its own")
            }
        case (.binary, 200):
            let head = answerLength ?? -1
            guard (0...answer.count).contains(head),
                let document = try? JSONParser.parse(Array(answer[..<head]))
            else {
                complain("no length of the JSON part")
                return
            }
            if document["id"]?.text != id || answer[head...] != payload[...] {
                complain("another answer than its own")
            }
        case (.live, 200): if answer != Array("{\"live\":true}".utf8) { complain("not live") }
        case (.unmatchedName, 404), (_, 500), (_, 502), (_, 503), (_, 504):
            guard (try? JSONParser.parse(answer))?["error"]?.text != nil else {
                complain("an error without a sentence")
                return
            }
        default: complain("a status that nothing explains")
        }
    }

    private func judgeGRPC() {
        guard status == 200 else {
            complain("gRPC comes with 200 always")
            return
        }
        switch (kind, grpcStatus) {
        case (.grpc, 0), (.grpcStream, 0): judgeMessages()
        case (.grpcUnmatched, 5): if !answer.isEmpty { complain("a message beside an error") }
        case (_, 4), (_, 13), (_, 14), (_, 1): break
        default: complain("a status that nothing explains")
        }
    }

    private func judgeMessages() {
        var rest = answer[...]
        var number = 0
        while rest.count >= 5 {
            let length = rest.dropFirst().prefix(4).reduce(0) { $0 << 8 | Int($1) }
            let message = Array(rest.dropFirst(5).prefix(length))
            rest = rest.dropFirst(5 + length)
            guard let response = response(in: message) else {
                complain("message \(number) can't be read")
                return
            }
            if response.id != "\(id).\(number)" || response.modelName != "echo"
                || response.outputs.first?.name != id
                || (try? response.outputs.first?.bytes) != payload
            {
                complain("message \(number) is another's")
                return
            }
            number += 1
        }
        if !rest.isEmpty || number != messageCount {
            complain("\(number) messages where \(messageCount) were sent, \(rest.count) bytes over")
        }
    }

    private func response(in message: [UInt8]) -> InferenceResponse? {
        guard kind == .grpcStream else { return try? InferenceResponse(message: message) }
        // ModelStreamInferResponse: the answer is field 2.
        return unsafe message.withUnsafeBytes { raw -> InferenceResponse? in
            var reader = unsafe WireReader(raw)
            while let field = try? reader.nextField() {
                guard field.number == 2, case .bytes(let range) = field.value else { continue }
                return unsafe try? InferenceResponse(message: [UInt8](range))
            }
            return nil
        }
    }

    private func complain(_ sentence: String) {
        guard complaint == nil else { return }
        let text = String(decoding: answer.prefix(160), as: UTF8.self)
        complaint = "\(sentence) (status \(status), gRPC \(grpcStatus ?? -1), body '\(text)')"
    }
}
