import SluiceControl
import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceWire

// Filling a revision's cache ahead of its traffic.
extension AdminServer {
    var warmRoutes: [AdminRoute] {
        let path = "/api/v1/models/{model}/revisions/{revision}/warm"
        return [
            AdminRoute("GET", path) { [runtime] _, values, respond throws(AdminError) in
                guard
                    let progress = runtime.coordinator.warmth(model: values[0], revision: values[1])
                else {
                    throw AdminError(
                        404,
                        "no revision '\(values[1])' of '\(values[0])' has been warmed"
                    )
                }
                respond(AdminServer.reply(to: progress, values))
            },
            AdminRoute("POST", path, changesState: true) {
                [runtime, loop] request, values, respond in
                // Used on this loop only; the coordinator merely carries them.
                let kept = Confined(respond)
                let handle = loop.handle
                runtime.coordinator.warm(model: values[0], revision: values[1], by: request.who) {
                    result in
                    let reply: AdminReply
                    switch result {
                    case .success(let progress): reply = AdminServer.reply(to: progress, values)
                    case .failure(let refusal): reply = AdminServer.reply(to: refusal)
                    }
                    handle.submit { kept.value(reply) }
                }
            },
            AdminRoute("DELETE", path, changesState: true) {
                [runtime, loop] request, values, respond in
                let kept = Confined(respond)
                let handle = loop.handle
                runtime.coordinator.cancelWarmUp(
                    of: values[0],
                    revision: values[1],
                    by: request.who
                ) {
                    progress in
                    let reply =
                        progress.map { AdminServer.reply(to: $0, values) }
                        ?? AdminError(409, "'\(values[1])' is not being warmed").reply
                    handle.submit { kept.value(reply) }
                }
            },
        ]
    }

    private static func reply(to progress: WarmupRun.Progress, _ values: [String]) -> AdminReply {
        var (state, failure) = ("warming", JSONValue.null)
        switch progress.end {
        case nil: break
        case .done: state = "warm"
        case .cancelled: state = "cancelled"
        case .failing(let sentence): (state, failure) = ("failing", .string(sentence))
        }
        return AdminReply(
            200,
            .object([
                .init("model", .string(values[0])),
                .init("revision", .string(values[1])),
                .init("state", .string(state)),
                .init("inputs", .number("\(progress.inputs)")),
                .init("answered", .number("\(progress.answered)")),
                .init("failed", .number("\(progress.failed)")),
                .init("skipped", .number("\(progress.skipped)")),
                .init("failure", failure),
            ])
        )
    }
}
