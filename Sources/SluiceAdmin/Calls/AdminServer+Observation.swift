import SluiceControl
import SluiceCore
import SluiceIO
import SluiceTelemetry
import SluiceWire

// Whether the gateway lives and wants traffic, what it counts, and what has changed.
extension AdminServer {
    var observationRoutes: [AdminRoute] {
        [
            AdminRoute("GET", "/healthz") { _, _, respond in
                respond(AdminReply(200, .object([.init("alive", .bool(true))])))
            },
            AdminRoute("GET", "/readyz") { [runtime] _, _, respond in
                let isReady = runtime.isReady
                respond(AdminReply(isReady ? 200 : 503, .object([.init("ready", .bool(isReady))])))
            },
            AdminRoute("GET", "/metrics") { [runtime, loop] request, _, respond in
                let format = ExpositionFormat.preferred(byAccept: request.accept)
                var text = ByteBuffer(pool: loop.buffers)
                runtime.store.write(as: format, into: &text)
                unsafe respond(AdminReply(200, type: format.contentType, [UInt8](text.bytes)))
            },
            AdminRoute("GET", "/api/v1/events") {
                [runtime] request, _, respond throws(AdminError) in
                guard let since = Int(request.query["since"] ?? "0") else {
                    throw AdminError(400, "since is the number of the last event you have")
                }
                let events = runtime.coordinator.events.events(after: since)
                respond(AdminReply(200, .object([.init("events", .array(events.map(\.json)))])))
            },
        ]
    }
}
