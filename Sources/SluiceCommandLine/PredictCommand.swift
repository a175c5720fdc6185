import ArgumentParser
import Foundation
import SluiceGRPC
import SluiceInference
import SluiceWire

struct PredictCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict",
        abstract: "Sends one prediction and prints the answer, who gave it and how long it took.",
        discussion: """
            --data is JSON, or @FILE. With `instances` it goes to V1, with `inputs` as a list of
            tensors to V2; --grpc sends the V2 form as a ModelInferRequest.
              sluice predict iris --data '{"instances":[[5.1,3.5,1.4,0.2]]}'
              sluice predict iris --revision v2 --data @request.json
              sluice predict iris --grpc --data '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}'
            """
    )

    @Argument(help: "The model's name.")
    var model: String

    @Option(name: .long, help: "The request: JSON text, or @FILE.")
    var data: String

    @Option(name: .long, help: "Where the gateway is: http://HOST:PORT or unix:///PATH.")
    var url = "http://127.0.0.1:8080"

    @Option(name: .long, help: "Which revision is to answer (x-sluice-revision).")
    var revision: String?

    @Flag(name: .long, help: "Speak gRPC instead of REST.")
    var grpc = false

    @Flag(name: .long, help: "Print the answer only.")
    var json = false

    func run() throws {
        let body = try requestBody()
        let document: JSONValue
        do throws(JSONFailure) {
            document = try JSONParser.parse(body)
        } catch {
            Terminal.complain(
                "sluice predict: --data is not JSON: \(error.sentence) at byte \(error.offset)"
            )
            throw ExitCode(1)
        }
        do throws(HTTPClient.Failure) {
            let started = ContinuousClock.now
            let answer = try grpc ? sendGRPC(body) : sendREST(body, document)
            try show(answer, in: ContinuousClock.now - started)
            try checkRevision(answer)
        } catch {
            Terminal.complain("sluice predict: \(error.sentence)")
            throw ExitCode(1)
        }
    }

    private func requestBody() throws -> [UInt8] {
        guard data.hasPrefix("@") else { return Array(data.utf8) }
        let path = String(data.dropFirst())
        guard let contents = FileManager.default.contents(atPath: path) else {
            Terminal.complain("sluice predict: no readable file at \(path)")
            throw ExitCode(1)
        }
        return Array(contents)
    }

    private var revisionFields: [(String, String)] {
        revision.map { [("x-sluice-revision", $0)] } ?? []
    }

    private func sendREST(
        _ body: [UInt8],
        _ document: JSONValue
    ) throws(HTTPClient.Failure) -> HTTPClient.Answer {
        let isV1 = document["instances"] != nil
        return try HTTPClient().send(
            to: url,
            method: "POST",
            path: isV1
                ? "/v1/models/\(PathSegment.escaped(model)):predict"
                : "/v2/models/\(PathSegment.escaped(model))/infer",
            fields: [("content-type", "application/json")] + revisionFields,
            body: body
        )
    }

    private func sendGRPC(_ body: [UInt8]) throws(HTTPClient.Failure) -> HTTPClient.Answer {
        let message = try PredictMessage.frame(json: body, model: model)
        let target = ClientURL.overHTTP2(url)
        var answer = try HTTPClient().send(
            to: target,
            method: "POST",
            path: "/inference.GRPCInferenceService/ModelInfer",
            fields: [("content-type", "application/grpc"), ("te", "trailers")] + revisionFields,
            body: message
        )
        let status = answer.trailers["grpc-status"] ?? answer.fields["grpc-status"] ?? "2"
        if status != "0" {
            let text = answer.trailers["grpc-message"] ?? answer.fields["grpc-message"] ?? ""
            let name = GRPCStatus(rawValue: Int(status) ?? 2)?.name ?? "UNKNOWN"
            throw HTTPClient.Failure(sentence: "\(name): \(text)")
        }
        answer.body = try PredictMessage.json(frame: answer.body)
        return answer
    }

    /// An answer from another revision than the one asked for is no success.
    private func checkRevision(_ answer: HTTPClient.Answer) throws(HTTPClient.Failure) {
        let came = answer.fields["x-sluice-revision"] ?? "-"
        guard let revision, came != revision else { return }
        throw HTTPClient.Failure(
            sentence:
                "the answer came from revision \(came), not \(revision): set `allowRevisionHeader: true` for model '\(model)', or a route for `header: x-sluice-revision, value: \(revision)`"
        )
    }

    private func show(
        _ answer: HTTPClient.Answer,
        in time: Duration
    ) throws(HTTPClient.Failure) {
        let text = String(decoding: answer.body, as: UTF8.self)
        guard (200..<300).contains(answer.status) else {
            throw HTTPClient.Failure(sentence: "HTTP \(answer.status): \(text)")
        }
        print(text)
        guard !json else { return }
        let milliseconds =
            Double(time.components.attoseconds) / 1e15
            + Double(time.components.seconds) * 1000
        var facts = [
            "revision \(answer.fields["x-sluice-revision"] ?? "-")",
            "backend \(answer.fields["x-sluice-backend"] ?? "-")",
            String(format: "%.1f ms", milliseconds),
        ]
        if let cache = answer.fields["cache-status"] { facts.insert("cache \(cache)", at: 2) }
        print(facts.joined(separator: " · "))
    }
}
