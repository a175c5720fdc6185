import SluiceControl
import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceTelemetry
import SluiceWire

/// What the stream says: the gateway itself, all models with their numbers, and what has changed.
final class GatewayState {
    private let runtime: GatewayRuntime
    private let live: LiveBoard
    private let began: Instant
    private let startedAt: WallTime

    init(_ runtime: GatewayRuntime, _ live: LiveBoard) {
        self.runtime = runtime
        self.live = live
        began = live.loop.now
        startedAt = WallTime(nanoseconds: live.loop.kernel.wallClock())
    }

    /// The state now; times are milliseconds since 1970.
    var json: JSONValue {
        let loop = live.loop
        let models = StatusBoard.models(runtime.desk, live.present)
        return .object([
            .init("time", .number("\(loop.kernel.wallClock() / 1_000_000)")),
            .init("startedAt", .number("\(startedAt.nanoseconds / 1_000_000)")),
            .init(
                "uptimeSeconds",
                .number("\(loop.now.nanoseconds(since: began) / 1_000_000_000)")
            ),
            .init("version", .string(runtime.version)), .init("ready", .bool(runtime.isReady)),
            .init("draining", .bool(runtime.readiness.isDraining)),
            .init("generation", models["generation"] ?? .null),
            .init("redis", runtime.redisState),
            .init("models", models["models"] ?? .array([])),
        ])
    }

    /// The changes after the event numbered `id`, oldest first, and the number of the last one.
    func events(after id: Int) -> (list: [JSONValue], last: Int) {
        let events = runtime.desk.events.events(after: id)
        return (events.map(\.json), events.last?.id ?? id)
    }
}
