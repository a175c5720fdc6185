import SluiceControl
import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceTelemetry
import SluiceWire

/// What the stream and the lists say: the gateway itself, all models with their numbers, and what
/// has changed.
final class GatewayState {
    /// As it was at the last look.
    var board = StreamedState()
    /// Names this process among those before and after it: when it began, in milliseconds since 1970.
    let process: String

    private let runtime: GatewayRuntime
    private let live: LiveStats
    private let began: Instant
    private var searchedGeneration: Int?
    private var seen: Snapshot?

    init(_ runtime: GatewayRuntime, _ live: LiveStats) {
        self.runtime = runtime
        self.live = live
        began = live.loop.now
        process = "\(live.loop.kernel.wallClock() / 1_000_000)"
    }

    /// The loop's time.
    var now: Instant { live.loop.now }

    /// Looks at all models, and wholly at those in `opened`.
    ///
    /// Costs a line for each model and the JSON of each opened one, however many listen.
    func look(opened: Set<String> = []) {
        let coordinator = runtime.coordinator
        let snapshot = coordinator.snapshot
        let isSearched = searchedGeneration == snapshot.generation
        board.list.update(
            StatusReport.summaries(snapshot, coordinator, live.present),
            searchTexts: isSearched ? nil : StatusReport.searchTexts(snapshot)
        )
        searchedGeneration = snapshot.generation
        board.update(gateway: members(of: snapshot))
        board.keepOpen(only: opened)
        seen = snapshot
        for name in opened { open(name) }
    }

    /// The time, which the next frame is of.
    ///
    /// It isn't the loop's, which is that of the turn's beginning: a turn may have told many.
    func tick() -> Instant {
        board.post(clock)
        return live.loop.kernel.now()
    }

    /// Looks wholly at one more model, as it was at the last look.
    func open(_ name: String) {
        guard let seen, let place = board.list.place(of: name) else { return }
        board.open(name, StatusReport.model(seen.models[place], runtime.coordinator, live.present))
    }

    private var clock: [JSONValue.Member] {
        let uptime = now.nanoseconds(since: began) / 1_000_000_000
        return [
            .init("time", .number("\(live.loop.kernel.wallClock() / 1_000_000)")),
            .init("uptimeSeconds", .number("\(uptime)")),
        ]
    }

    private func members(of snapshot: Snapshot) -> [JSONValue.Member] {
        [
            .init("startedAt", .number(process)), .init("version", .string(runtime.version)),
            .init("ready", .bool(runtime.isReady)),
            .init("draining", .bool(runtime.readiness.isDraining)),
            .init("generation", .number("\(snapshot.generation)")),
            .init("redis", runtime.redisState), .init("summary", board.list.totals.json),
        ]
    }

    /// The changes after the event numbered `id`, oldest first.
    func events(after id: Int) -> [ChangeEvent] { runtime.coordinator.events.events(after: id) }

    /// The number of the last event that one who said to have `text` needn't be told again.
    ///
    /// `text` is the id of an `events` message. Who has none, or one of another process, is told the
    /// last events that a page shows.
    func lastEvent(known text: String?) -> Int {
        let parts = (text ?? "").split(separator: "-")
        if parts.count == 2, parts[0] == process, let id = Int(parts[1]), id >= 0 { return id }
        return max(0, (events(after: 0).last?.id ?? 0) - GatewayState.eventMaximum)
    }

    /// Events that a new listener is told.
    private static let eventMaximum = 100
}
