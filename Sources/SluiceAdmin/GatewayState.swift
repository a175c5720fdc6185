import SluiceControl
import SluiceCore
import SluiceGateway
import SluiceWire

/// The state as one frame of the stream: the gateway itself, and all models with their numbers.
enum GatewayState {
    /// The state; times are milliseconds since 1970.
    static func json(
        _ runtime: GatewayRuntime,
        _ live: TrafficHistory.Present,
        startedAt: Int64,
        uptime: Duration,
        now: Int64
    ) -> JSONValue {
        let models = StatusBoard.models(runtime.snapshot, live)
        return .object([
            .init("time", .number("\(now)")), .init("startedAt", .number("\(startedAt)")),
            .init("uptimeSeconds", .rounded(uptime.inSeconds.rounded(.down))),
            .init("version", .string(runtime.version)), .init("ready", .bool(runtime.isReady)),
            .init("draining", .bool(runtime.readiness.isDraining)),
            .init("generation", models["generation"] ?? .null),
            .init("models", models["models"] ?? .array([])),
        ])
    }
}
