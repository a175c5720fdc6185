import SluiceBalancing
import SluiceConfiguration
import SluiceGateway
import SluiceIO
import SluiceTelemetry
import Synchronization

// `limits.maxMemory`: once a second the control loop reads what the process takes, and tells the
// workers when that changes what is to be done.
extension GatewayRuntime {
    /// Looks after the memory from now on; a reload may change the limit.
    static func watchMemory(
        of workers: WorkerGroup,
        _ coordinator: ChangeCoordinator,
        on control: ControlLoop,
        _ store: MetricStore,
        _ log: EventLog
    ) {
        let watch = MemoryWatch()
        control.repeatedly(every: .seconds(1)) {
            watch.look(maximum: coordinator.configuration.limits.maxMemory, workers, log)
        }
        store.collect { sink in
            sink.gauge(GatewayMetrics.memoryPressure, [], value: Double(watch.level.rawValue))
        }
    }
}

/// The reading that was made last, for the scrape as well.
private final class MemoryWatch: Sendable {
    private let pressure = Mutex(MemoryPressure())
    // Allocators keep what was freed; asking for it back takes a while, so not every second.
    private static let trimInterval = 10
    private let looks = Atomic<Int>(0)

    var level: MemoryPressure.Level { pressure.withLock { $0.level } }

    func look(maximum: Int, _ workers: WorkerGroup, _ log: EventLog) {
        guard maximum > 0 || level > .none else { return }
        guard let resident = ProcessReading.residentBytes else { return }
        let (before, after) = pressure.withLock { pressure in
            let before = pressure.level
            return (before, pressure.update(resident: resident, maximum: maximum))
        }
        if after > .none {
            let count = looks.wrappingAdd(1, ordering: .relaxed).oldValue
            if before == .none || count % MemoryWatch.trimInterval == 0 {
                Machine.trimMemory()
            }
        }
        guard before != after else { return }
        workers.post { $0.use(after) }
        let sentence =
            switch after {
            case .none: "memory is below limits.maxMemory again"
            case .high: "memory is short: no new connections"
            case .critical: "memory is short: new requests are refused"
            }
        log.write(
            after == .none ? .info : .warning,
            sentence,
            [("resident", "\(resident)"), ("maxMemory", "\(maximum)")]
        )
    }
}
