import SluiceCompression
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceInference
import SluiceWire

// What was asked of a backend and what came of it, in words for logs and pages.
extension HealthProbe.Target {
    /// Decodes a compressed message: some servers compress every answer, asked or not.
    ///
    /// One that can't be decoded stays as it is, and says nothing.
    func decodeAnswer(_ coding: ContentCoding) {
        let pool = BufferPool(retainedMaximum: 0)
        let made = unsafe answer.withUnsafeBytes {
            unsafe MessageDecoding.decode(
                $0,
                coding,
                isMessage: true,
                limit: HealthProbe.descriptionMaximum,
                pool: pool
            )
        }
        guard case .success(var body) = made else { return }
        answer = unsafe Array(body.bytes)
        body.release(to: pool)
    }
}

extension HealthProbe {
    /// The path of the check over REST.
    static func path(_ target: Target) -> String {
        let plan = target.plan
        let model = plan.metadata?.modelName ?? ""
        let asked =
            switch target.check {
            case .ready: plan.probePath
            case .readyV1: plan.probePathV1 ?? plan.probePath
            case .readyByMethod: plan.probePathV1.map { "\($0):predict" } ?? plan.probePath
            case .runtime(let check): path(check, model)
            case .description:
                runtime(of: target).speaksV2
                    ? path(.metadataV2, model) : "\(path(.statusV1, model))/metadata"
            }
        return (plan.rest?.basePath ?? "") + asked
    }

    /// The check as people are told of it; a query may have a secret in it.
    static func name(_ target: Target) -> String {
        guard !target.isGRPC else {
            return switch target.check {
            case .description: "ModelMetadata"
            case .runtime: "ServerMetadata"
            case .ready, .readyV1, .readyByMethod: "ServerReady"
            }
        }
        let path = path(target)
        let end = path.firstIndex(of: "?") ?? path.endIndex
        return "GET \(path[..<end].prefix(100))"
    }

    /// Why a call came to nothing.
    static func words(_ failure: CallFailure) -> String {
        switch failure {
        case .connectFailed(let text):
            // What the system said, without the words around it.
            if text.hasPrefix("connect failed ("), text.hasSuffix(")") {
                "connect: \(text.dropFirst(16).dropLast())"
            } else {
                text.hasPrefix("connect") ? text : "connect: \(text)"
            }
        case .poolFull: "connect: too many wait for a connection"
        case .refused: "the backend refused the request"
        case .reset(let code): "the backend reset the request (\(code))"
        case .resetByUs(let code, let reason):
            "the gateway reset the request (\(code)): \(reason)"
        case .connectionLost(let text), .staleConnection(let text):
            "the connection was lost: \(text)"
        case .malformed(let text): "the answer isn't HTTP: \(text)"
        }
    }

    /// What is wrong with an answer that has come whole; nil for a good one.
    static func failure(_ target: Target, grpc: Int?, _ message: String?) -> String? {
        let name = name(target)
        if target.check == .readyByMethod, target.status == 405 { return nil }
        guard (200..<300).contains(target.status) else { return "\(name): \(target.status)" }
        guard target.isGRPC else {
            guard target.check == .readyV1 else { return nil }
            return unreadyV1(target.answer).map { "\(name): \($0)" }
        }
        guard let grpc else { return "\(name): the answer has no grpc-status" }
        guard grpc == 0 else {
            let status = GRPCStatus(rawValue: grpc).map { "\($0.name)" } ?? "grpc-status \(grpc)"
            let words = StatusMessage.decode(message ?? "").prefix(120)
            return words.isEmpty ? "\(name): \(status)" : "\(name): \(status): \(words)"
        }
        // ServerReadyResponse: `ready = true` is the two bytes 08 01 after the prefix.
        let isReady =
            target.check.isOfMetadata || target.answer.dropFirst(5).elementsEqual([8, 1])
        return isReady ? nil : "\(name): not ready"
    }

    /// What a V1 server says against its model's readiness: KServe's `ready`, TensorFlow Serving's
    /// versions; nil where it says nothing against it.
    private static func unreadyV1(_ answer: [UInt8]) -> String? {
        guard let status = try? JSONParser.parse(answer) else { return nil }
        if let ready = status["ready"], ready == .bool(false) || ready.text?.lowercased() == "false"
        {
            return "not ready"
        }
        let versions = status["model_version_status"]?.elements ?? []
        guard !versions.isEmpty, !versions.contains(where: { $0["state"]?.text == "AVAILABLE" })
        else { return nil }
        return "no version is AVAILABLE"
    }
}
