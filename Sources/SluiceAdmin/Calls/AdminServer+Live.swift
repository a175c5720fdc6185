import SluiceControl
import SluiceGateway
import SluiceWire

// What goes on now, as it goes on, and in the last minutes.
extension AdminServer {
    var liveRoutes: [AdminRoute] {
        [
            AdminRoute("GET", "/api/v1/stream") {
                [stream] request, _, respond throws(AdminError) in
                let view: StreamView
                do throws(ModelQuery.Failure) {
                    view = try StreamView(request.query)
                } catch {
                    throw AdminError(error)
                }
                guard stream.hasRoom else {
                    throw AdminError(
                        503,
                        "\(StateStream.maximum) others listen already, which is the most"
                    )
                }
                var reply = AdminReply(200, type: "text/event-stream", [])
                // Proxies that buffer would hold each second back until many have passed.
                reply.fields = [("cache-control", "no-store"), ("x-accel-buffering", "no")]
                reply.view = view
                respond(reply)
            },
            AdminRoute("GET", "/api/v1/models/{model}/history") {
                [runtime, live] _, values, respond throws(AdminError) in
                guard let plan = runtime.snapshot.models.first(where: { $0.name == values[0] })
                else {
                    throw AdminError(404, "unknown model '\(values[0])'")
                }
                let names = plan.revisions.map(\.name)
                respond(AdminReply(200, live.history.past(of: plan.name, revisions: names).json))
            },
        ]
    }
}
