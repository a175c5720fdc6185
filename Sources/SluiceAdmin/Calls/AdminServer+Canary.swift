import SluiceControl
import SluiceCore
import SluiceWire

// Automatic rollouts: each call answers how the rollout stands then.
extension AdminServer {
    var canaryRoutes: [AdminRoute] {
        let path = "/api/v1/models/{model}/canary"
        return [
            AdminRoute("GET", path) { [runtime] _, values, respond throws(AdminError) in
                guard let view = runtime.rollouts.value.view(of: values[0]) else {
                    throw AdminError(404, "no rollout of '\(values[0])' has been started")
                }
                respond(AdminServer.canary(view, of: values[0]))
            },
            AdminRoute("POST", path, changesState: true) {
                [runtime] request, values, respond throws(AdminError) in
                let body = request.body.isEmpty ? nil : try request.json()
                try AdminServer.canary { () throws(ChangeError) in
                    try runtime.rollouts.value.start(
                        values[0],
                        body,
                        by: request.who,
                        then: AdminServer.canary(values[0], respond)
                    )
                }
            },
            command("DELETE", path, .abort),
            command("POST", path + "/resume", .resume),
            command("POST", path + "/promote", .promote),
            AdminRoute("POST", path + "/pause", changesState: true) {
                [runtime] request, values, respond throws(AdminError) in
                try AdminServer.canary { () throws(ChangeError) in
                    try runtime.rollouts.value.pause(
                        values[0],
                        by: request.who,
                        then: AdminServer.canary(values[0], respond)
                    )
                }
            },
        ]
    }

    private func command(
        _ method: String,
        _ path: String,
        _ command: RolloutDriver.Command
    ) -> AdminRoute {
        AdminRoute(method, path, changesState: true) {
            [runtime] request, values, respond throws(AdminError) in
            try AdminServer.canary { () throws(ChangeError) in
                try runtime.rollouts.value.grant(
                    command,
                    values[0],
                    by: request.who,
                    then: AdminServer.canary(values[0], respond)
                )
            }
        }
    }

    /// Turns the driver's refusals into the API's.
    private static func canary(
        _ body: () throws(ChangeError) -> Void
    ) throws(AdminError) {
        do throws(ChangeError) {
            try body()
        } catch {
            throw AdminError(reply(to: error).status, error.sentence)
        }
    }

    /// What answers once the weights are as wanted.
    private static func canary(
        _ model: String,
        _ respond: @escaping AdminRoute.Respond
    ) -> RolloutDriver.Answer {
        { result in
            switch result {
            case .success(let view): respond(canary(view, of: model))
            case .failure(let refusal): respond(reply(to: refusal))
            }
        }
    }

    private static func canary(_ view: RolloutView, of model: String) -> AdminReply {
        guard case .object(var members) = view.json else { return AdminReply(200, view.json) }
        members.insert(.init("model", .string(model)), at: 0)
        return AdminReply(200, .object(members))
    }
}
