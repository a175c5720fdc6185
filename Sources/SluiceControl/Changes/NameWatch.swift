import SluiceConfiguration
import SluiceGateway
import SluiceIO
import SluiceTelemetry
import Synchronization

/// Looks the names of `dns` backends up again and again, on a thread of its own: a name server that
/// doesn't answer holds a look-up for seconds, and nobody else may wait for that.
///
/// What can't be looked up keeps its last addresses.
final class NameWatch: Sendable {
    private let loop: ControlLoop
    private let store: MetricStore
    private let log: EventLog
    private let failing = Mutex<Set<String>>([])

    /// Looks every `interval`; tells `found` all addresses of a name, whether new or not.
    init(
        every interval: Duration,
        store: MetricStore,
        log: EventLog,
        names: @escaping @Sendable () -> [Configuration.BackendURL],
        found: @escaping @Sendable (String, [SocketAddress]) -> Void
    ) throws(KernelFailure) {
        loop = try ControlLoop.start(name: "names")
        self.store = store
        self.log = log
        loop.repeatedly(every: interval) { [weak self] in
            for name in names() {
                guard let self, let addresses = self.look(name) else { continue }
                found(name.authority, addresses)
            }
        }
    }

    /// Ends the thread once its look-up is over, which nobody waits for.
    func stop() { loop.stop(isWaiting: false) }

    private func look(_ name: Configuration.BackendURL) -> [SocketAddress]? {
        var failure: String?
        var addresses: [SocketAddress] = []
        do throws(KernelFailure) {
            addresses = try SocketAddress.resolve(host: name.host, port: name.port)
            if addresses.isEmpty { failure = "it has no address" }
        } catch {
            failure = error.text
        }
        let outcome = failure == nil ? "success" : "failure"
        loop.count(
            store.counter(GatewayMetrics.nameLookUps, [name.authority, outcome]),
            in: store
        )
        let wasFailing = failing.withLock { failing in
            failure == nil
                ? failing.remove(name.authority) != nil : !failing.insert(name.authority).inserted
        }
        if let failure, !wasFailing {
            log.write(
                .warning,
                "a backend's name can't be looked up; its last addresses stay in use",
                [("name", name.authority), ("reason", failure)]
            )
        } else if failure == nil, wasFailing {
            log.write(.info, "a backend's name is found again", [("name", name.authority)])
        }
        return failure == nil ? addresses : nil
    }
}
