package import SluiceCore
package import SluiceGateway
package import SluiceIO
package import SluiceTelemetry

/// Reads the numbers once a second, on the control loop, for whoever looks: API, page and commands.
///
/// A reading loads atomics and disturbs no worker. Confined to its loop; ``close()`` it before it
/// goes away.
package final class LiveStats: TimerTarget {
    /// The numbers of now and of the last five minutes.
    package private(set) var history = TrafficHistory()
    /// Called after each reading.
    package var onReading: (() -> Void)?
    /// The numbers of now.
    package var present: LivePresent { history.present }
    /// The loop it belongs to.
    package let loop: EventLoop

    private let store: MetricStore
    private let snapshot: () -> Snapshot
    private var timer = TimerID.none

    /// How far two readings are apart.
    package static let interval = Duration.seconds(1)

    /// A board that begins to read at once.
    ///
    /// - Parameters:
    ///   - loop: the loop that it belongs to.
    ///   - store: what it reads.
    ///   - snapshot: asked at each reading for the models that there are.
    package init(loop: EventLoop, store: MetricStore, snapshot: @escaping () -> Snapshot) {
        self.loop = loop
        self.store = store
        self.snapshot = snapshot
        read()
        arm()
    }

    /// Ends the reading.
    package func close() {
        loop.cancelTimer(&timer)
        onReading = nil
    }

    package func timerFired(_ tag: UInt, at now: Instant) {
        arm()
        read()
        onReading?()
    }

    private func arm() {
        timer = loop.setTimer(after: LiveStats.interval, target: self, tag: 0)
    }

    private func read() {
        let names = snapshot().models.map { ($0.name, $0.revisions.map(\.name)) }
        history.record(
            TrafficTotals(of: store, taken: loop.now),
            at: WallTime(nanoseconds: loop.kernel.wallClock()),
            of: names
        )
    }
}
