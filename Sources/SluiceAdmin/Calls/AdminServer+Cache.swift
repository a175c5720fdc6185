import SluiceControl
import SluiceWire

// What is kept of answers.
extension AdminServer {
    var cacheRoutes: [AdminRoute] {
        [
            AdminRoute("DELETE", "/api/v1/models/{model}/cache", changesState: true) {
                [runtime] request, values, respond throws(AdminError) in
                guard request.query.keys.allSatisfy({ $0 == "revision" }) else {
                    throw AdminError(400, "the only parameter is revision, as in ?revision=v2")
                }
                let revision = request.query["revision"]
                guard
                    let count = runtime.purge(model: values[0], revision: revision, by: request.who)
                else {
                    throw AdminError(
                        404,
                        "unknown model '\(values[0])'"
                            + (revision.map { ", or revision '\($0)'" } ?? "")
                    )
                }
                respond(AdminReply(200, .object([.init("purged", .number("\(count)"))])))
            }
        ]
    }
}
