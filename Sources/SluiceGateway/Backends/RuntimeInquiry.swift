package import SluiceInference
import SluiceWire

/// Finds out what a REST server is by as few checks as settle it.
///
/// Every V2 server describes itself (`GET /v2`), and those known by name need no further check. Of the
/// others each path tells something by being there or not:
///
///     GET /v2               a description, with its extensions
///     GET /v1/models/{m}    V1's status: there is a V1, and by its words TensorFlow Serving's
///     GET …/{m}:predict     405 where nothing but the prediction is there
///     GET /v2/models/{m}    V2's metadata: there is a V2, and the model is loaded
///
/// A model that isn't loaded yet leaves open what isn't there at all; then it is asked again later.
package struct RuntimeInquiry {
    /// What is asked.
    package enum Check: CaseIterable, Sendable { case server, statusV1, predictV1, metadataV2 }

    /// What comes after an answer.
    package enum Step: Equatable, Sendable {
        /// Another check.
        case ask(Check)
        /// What the server is; `isSettled` is false where it should be asked again later.
        case found(Runtime, isSettled: Bool)
        /// Nothing could be told.
        case open
    }

    /// Whether V2's readiness has been seen, or its description.
    private var speaksV2: Bool
    private var runtimeKind = RuntimeKind.generic
    private var kindV1 = RuntimeKind.v1
    /// Whether the tensors of its model are configured, as they only need to be for V1.
    private let hasTensors: Bool

    /// What servers say to a path that they don't have.
    package static let absent: Set = [400, 404, 405, 501]

    /// An inquiry that begins with ``Check/server``.
    package init(isReadyInV2: Bool, hasTensors: Bool) {
        speaksV2 = isReadyInV2
        self.hasTensors = hasTensors
    }

    /// Takes an answer; a `status` of 0 stands for none.
    package mutating func take(_ check: Check, status: Int, _ body: [UInt8]) -> Step {
        let isGood = (200..<300).contains(status)
        guard isGood || RuntimeInquiry.absent.contains(status) else { return .open }
        switch check {
        case .server:
            if isGood, let server = ServerDescription(json: body) {
                if let named = server.namedKind {
                    return .found(Runtime(named), isSettled: true)
                }
                speaksV2 = true
                runtimeKind = server.runtimeKind
            }
            return .ask(.statusV1)
        case .statusV1:
            guard isGood else { return .ask(.predictV1) }
            if let status = try? JSONParser.parse(body), status["model_version_status"] != nil {
                kindV1 = .tfserving
            }
            return foundV1()
        case .predictV1:
            return status == 405 ? foundV1() : .ask(.metadataV2)
        case .metadataV2:
            if speaksV1 { return .found(isGood ? both : Runtime(kindV1), isSettled: true) }
            if isGood {
                return .found(
                    Runtime(runtimeKind, speaksV1: false, speaksV2: true),
                    isSettled: true
                )
            }
            if speaksV2 { return .found(both, isSettled: false) }
            return hasTensors ? .found(Runtime(.v1), isSettled: true) : .open
        }
    }

    private var speaksV1 = false
    private var both: Runtime { Runtime(runtimeKind, speaksV1: true, speaksV2: true) }

    private mutating func foundV1() -> Step {
        speaksV1 = true
        return speaksV2 ? .found(both, isSettled: true) : .ask(.metadataV2)
    }
}
