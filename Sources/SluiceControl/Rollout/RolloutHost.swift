import SluiceConfiguration
package import SluiceCore
package import SluiceGateway
import SluiceIO
package import SluiceRouting
import SluiceTelemetry
package import SluiceWire

/// What a rollout's driver needs of the gateway around it; all on the driver's loop.
package protocol RolloutHost: AnyObject {
    /// The monotonic time.
    var now: Instant { get }
    /// Nanoseconds since 1970.
    var wall: Int64 { get }
    /// The snapshot in force.
    var snapshot: Snapshot { get }
    /// The plan that the configuration has for a model.
    func plan(of model: String) -> RolloutPlan?
    /// The records that an earlier process has left, by model.
    var records: [String: JSONValue] { get }
    /// What a revision's backends have answered since the process began.
    func answers(model: String, revision: String) -> RolloutWindow
    /// Keeps the record over restarts.
    func remember(_ record: JSONValue, of model: String)
    /// Moves weights, and says on the driver's loop when they have moved, or why they haven't.
    func shift(
        _ shift: TrafficShift,
        then: @escaping (ChangeError?) -> Void
    )
    /// Gives up a shift of the model that waits for its revision's cache to be warm.
    func cancelWarmUp(of model: String, by who: String)
    /// Tells people.
    func note(_ message: String, model: String, by who: String)
    /// Counts one look at the gates.
    func count(_ result: RolloutResult, model: String, revision: String)
}

/// The gateway itself as a rollout's host.
final class GatewayRolloutHost: RolloutHost {
    /// As whom a rollout shifts weights.
    static let author = "rollout"

    private let loop: EventLoop
    private let coordinator: ChangeCoordinator
    private let store: MetricStore
    private let shard: MetricShard

    init(loop: EventLoop, coordinator: ChangeCoordinator, store: MetricStore) {
        self.loop = loop
        self.coordinator = coordinator
        self.store = store
        shard = store.makeShard()
    }

    var now: Instant { loop.kernel.now() }
    var wall: Int64 { loop.kernel.wallClock() }
    var snapshot: Snapshot { coordinator.snapshot }
    var records: [String: JSONValue] { coordinator.adjustments.models.compactMapValues(\.rollout) }

    func plan(of model: String) -> RolloutPlan? {
        coordinator.configuration.models.first { $0.name == model }?.rollout
    }

    func answers(model: String, revision: String) -> RolloutWindow {
        let reading = store.answers.read(model: model, revision: revision)
        return RolloutWindow(
            durations: reading.durations,
            unmeasured: reading.unmeasured,
            failures: reading.failures,
            clientFaults: reading.clientFaults
        )
    }

    func remember(_ record: JSONValue, of model: String) {
        coordinator.submit(.rollout(model: model, record: record), by: GatewayRolloutHost.author) {
            _ in
        }
    }

    func shift(
        _ shift: TrafficShift,
        then: @escaping (ChangeError?) -> Void
    ) {
        // Called on this loop only; the coordinator merely carries it.
        let kept = Confined(then)
        let handle = loop.handle
        coordinator.submit(.shift(shift), by: GatewayRolloutHost.author) { result in
            var refusal: ChangeError?
            if case .failure(let failure) = result { refusal = failure }
            handle.submit { [refusal] in kept.value(refusal) }
        }
    }

    func cancelWarmUp(of model: String, by who: String) {
        coordinator.cancelWarmUp(of: model, by: who)
    }

    func note(_ message: String, model: String, by who: String) {
        coordinator.note(.rollout, model: model, by: who, message)
    }

    func count(_ result: RolloutResult, model: String, revision: String) {
        // The revision may be gone by now.
        withExtendedLifetime(store.hold(model: model, revision: revision)) {
            let labels = [model, revision, result.rawValue]
            shard.add(store.counter(GatewayMetrics.canaryChecks, labels))
        }
    }
}
