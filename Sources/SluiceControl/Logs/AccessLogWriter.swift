private import Glibc
package import SluiceConfiguration
import SluiceCore
package import SluiceIO
package import SluiceTelemetry
private import Synchronization

/// The thread that writes what workers have formatted, so that a slow disk or pipe stops no worker.
///
/// Lines wait in the channel's pieces, 4 MiB of them; beyond that, and where the target fails, they
/// are dropped and counted there.
package final class AccessLogWriter: Sendable {
    /// Where workers leave full pieces.
    package let channel: AccessChannel
    private let name: String
    private let log: EventLog
    private let isStopping = Atomic<Bool>(false)
    private let isReopening = Atomic<Bool>(false)
    private let isDone = Atomic<Bool>(false)
    private let deadline = Atomic<Int64>(.max)
    private let thread = Mutex<LoopThread?>(nil)
    private let losses = Mutex(LogLosses())
    private let failure = Atomic<Int32>(0)

    private init(name: String, log: EventLog) {
        self.name = name
        self.log = log
        channel = AccessChannel()
    }

    /// A writer for `target` that tells `log` of trouble, or nil when the access log is off.
    package static func make(
        for target: Configuration.AccessLog,
        log: EventLog
    ) throws(KernelFailure) -> AccessLogWriter? {
        switch target {
        case .off: nil
        case .stdout: try start(LogOutput(.descriptor(1)), name: "stdout", log: log)
        case .stderr: try start(LogOutput(.descriptor(2)), name: "stderr", log: log)
        case .file(let path): try start(LogOutput(.file(path)), name: path, log: log)
        }
    }

    /// A writer to `output`, which messages call `name`.
    package static func start(
        _ output: consuming LogOutput,
        name: String,
        log: EventLog
    ) -> AccessLogWriter {
        let writer = AccessLogWriter(name: name, log: log)
        let shared = HandedOutput(output)
        let thread = LoopThread.start(core: nil) { writer.run(shared) }
        writer.thread.withLock { $0 = thread }
        return writer
    }

    // Long sleeps gather long bursts, and a burst of writing delays a worker that shares its core
    // (p99 3 ms against 1); so the sleep is short while there is something to write.
    private static let busyInterval: UInt32 = 4_000
    private static let idleInterval: UInt32 = 50_000

    // Nobody reads the log soon, so its pages needn't stay in memory: new memory for ever new pages
    // took 3 ns a byte, and pages that come back 0.3. A stretch is dropped once it is on disk.
    private static let stretch: Int64 = 8 << 20

    private func run(_ handed: HandedOutput) {
        guard var output = handed.take() else { preconditionFailure("one thread writes") }
        blockEverySignal()
        var end = AccessLogWriter.end(of: output)
        var begun = end
        while true {
            let isLast = isStopping.load(ordering: .acquiring)
            if isReopening.exchange(false, ordering: .relaxed), reopen(&output) {
                end = AccessLogWriter.end(of: output)
                begun = end
            }
            var hasWritten = false
            while let fragment = channel.takeFull() {
                let lost = unsafe output.write(fragment.bytes) { mayWait() }
                failure.store(output.failure, ordering: .relaxed)
                channel.countDropped(lost)
                unsafe end += Int64(fragment.bytes.count)
                channel.giveBack(fragment)
                hasWritten = true
                look()
            }
            if output.isRegular, end - begun >= AccessLogWriter.stretch {
                let count = end - begun
                Machine.startWriting(output.descriptor, from: begun, count: count)
                Machine.dropWritten(output.descriptor, from: 0, count: max(0, begun - count))
                begun = end
            }
            look()
            if isLast { break }
            usleep(hasWritten ? AccessLogWriter.busyInterval : AccessLogWriter.idleInterval)
        }
        channel.countDropped(output.abandon())
        isDone.store(true, ordering: .releasing)
    }

    private static func end(of output: borrowing LogOutput) -> Int64 {
        output.isRegular ? Int64(max(0, lseek(output.descriptor, 0, SEEK_END))) : 0
    }

    private func reopen(_ output: inout LogOutput) -> Bool {
        do throws(KernelFailure) {
            channel.countDropped(try output.reopen())
            return true
        } catch {
            log.write(
                .error,
                "the access log can't be opened anew; lines go on into the file that was open",
                [("accessLog", name), ("reason", error.text)]
            )
            return false
        }
    }

    private func mayWait() -> Bool {
        look()
        return Machine.wallClock() < deadline.load(ordering: .relaxed)
    }

    /// Says it when lines begin to be lost, and when they no longer are.
    private func look() {
        let total = channel.droppedLines
        switch losses.withLock({ $0.look(total, at: Machine.wallClock()) }) {
        case .losing:
            let code = failure.load(ordering: .relaxed)
            log.write(
                .error,
                "the access log loses lines; sluice_access_log_dropped_total counts them",
                [
                    ("accessLog", name),
                    ("reason", code == 0 ? "its reader is slow" : Machine.describe(errno: code)),
                ]
            )
        case .over(let count):
            log.write(
                .warning,
                "the access log loses no lines any more",
                [("accessLog", name), ("lost", "\(count)")]
            )
        case nil: break
        }
    }

    /// Opens the file anew, soon; for whoever has renamed it.
    package func reopen() { isReopening.store(true, ordering: .relaxed) }

    /// Writes what is left and ends the thread; what takes longer than `bound` is dropped and counted.
    package func stop(within bound: Duration = .seconds(1)) {
        let now = Machine.wallClock()
        deadline.store(now + bound.nanoseconds, ordering: .relaxed)
        isStopping.store(true, ordering: .releasing)
        // A write into a disk that hangs can't be interrupted, so the thread may have to be left.
        let isEnded = waitForLog(until: now + bound.nanoseconds + 500_000_000) {
            isDone.load(ordering: .acquiring)
        }
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        if isEnded { thread?.join() } else { thread?.detach() }
    }
}

/// Hands an output to the thread that will use it.
private final class HandedOutput: Sendable {
    private let output: Mutex<LogOutput?>

    init(_ output: consuming LogOutput) { self.output = Mutex(consume output) }

    func take() -> LogOutput? { output.withLock { $0.take() } }
}

/// Leaves the process's signals to the thread that waits for them.
func blockEverySignal() {
    var set = sigset_t()
    unsafe sigfillset(&set)
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
}

/// Looks every millisecond whether a log's thread has ended, until `deadline` of the wall clock.
func waitForLog(until deadline: Int64, _ isDone: () -> Bool) -> Bool {
    while !isDone() {
        guard Machine.wallClock() < deadline else { return false }
        usleep(1_000)
    }
    return true
}
