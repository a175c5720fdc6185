import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceInference
import SluiceTelemetry
import SluiceWire

// What the gateway answers by itself, over REST.
extension Worker {
    /// Whether clients should come: something is configured, it answers, and we aren't leaving.
    var isReady: Bool {
        !shared.readiness.isDraining && workerSnapshot.models.allSatisfy { $0.isReady }
    }

    /// Answers the REST paths that concern no model, or only its readiness.
    func answerREST(_ request: Request) {
        switch unsafe request.pointee.operation {
        case .v1Live: unsafe answer(request, 200, "{\"status\":\"alive\"}")
        case .v2Live: unsafe answer(request, 200, "{\"live\":true}")
        case .v2Ready:
            unsafe answer(request, isReady ? 200 : 503, "{\"ready\":\(isReady)}")
        case .v2Server:
            let extensions = ["binary_tensor_data", "model_repository"].map(JSONStringText.quoted)
            unsafe answer(
                request,
                200,
                "{\"name\":\"sluice\",\"version\":\(JSONStringText.quoted(shared.version)),\"extensions\":[\(extensions.joined(separator: ","))]}"
            )
        case .v2List, .v1List:
            let names = workerSnapshot.models.map { JSONStringText.quoted($0.plan.name) }
            unsafe answer(request, 200, "{\"models\":[\(names.joined(separator: ","))]}")
        case .v2RepositoryIndex:
            let rows = workerSnapshot.models.map {
                "{\"name\":\(JSONStringText.quoted($0.plan.name)),\"state\":\"\($0.isReady ? "READY" : "UNAVAILABLE")\",\"reason\":\"\"}"
            }
            unsafe answer(request, 200, "[\(rows.joined(separator: ","))]")
        case .v1Status, .v2ModelReady:
            guard let model = unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0 }) else {
                return
            }
            unsafe answer(
                request,
                model.isReady ? 200 : 503,
                "{\"name\":\(JSONStringText.quoted(model.plan.name)),\"ready\":\(model.isReady)}"
            )
        default:
            unsafe replyWithError(request, .notFound("no such path"))
        }
    }

    /// Answers once the request is whole; its body, if any, says nothing we need.
    private func answer(_ request: Request, _ status: Int, _ body: String) {
        unsafe reply(request, status: status, body: Array(body.utf8))
    }
}
