private import Glibc
package import SluiceConfiguration
package import SluiceIO
package import SluiceTelemetry
private import Synchronization

/// The thread that writes what workers have formatted, so that a slow disk or pipe stops nobody.
package final class AccessLogWriter: Sendable {
    /// Where workers leave full pieces.
    package let channel: AccessChannel
    private let descriptor: Int32
    /// Whether it is a file of our own, which nobody reads at once.
    private let isFile: Bool
    private let isStopping = Atomic<Bool>(false)
    private let thread = Mutex<LoopThread?>(nil)

    private init(descriptor: Int32, isFile: Bool) {
        self.descriptor = descriptor
        self.isFile = isFile
        channel = AccessChannel()
    }

    /// A writer for `target`, or nil when the log is off.
    package static func make(
        for target: Configuration.AccessLog
    ) throws(KernelFailure) -> AccessLogWriter? {
        let descriptor: Int32
        var isFile = false
        switch target {
        case .off: return nil
        case .stdout: descriptor = 1
        case .stderr: descriptor = 2
        case .file(let path):
            isFile = true
            descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else {
                throw KernelFailure(
                    call: "open access log \(path)",
                    code: errno,
                    text: Machine.describe(errno: errno)
                )
            }
        }
        let writer = AccessLogWriter(descriptor: descriptor, isFile: isFile)
        let thread = LoopThread.start(core: nil) { writer.run() }
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

    private func run() {
        var end = isFile ? Int64(max(0, lseek(descriptor, 0, SEEK_END))) : 0
        var begun = end
        while true {
            let isLast = isStopping.load(ordering: .relaxed)
            var hasWritten = false
            while let piece = channel.takeFull() {
                unsafe write(piece.bytes)
                unsafe end += Int64(piece.bytes.count)
                channel.giveBack(piece)
                hasWritten = true
            }
            if isFile, end - begun >= AccessLogWriter.stretch {
                let count = end - begun
                Machine.startWriting(descriptor, from: begun, count: count)
                Machine.dropWritten(descriptor, from: 0, count: max(0, begun - count))
                begun = end
            }
            if isLast { return }
            usleep(hasWritten ? AccessLogWriter.busyInterval : AccessLogWriter.idleInterval)
        }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) {
        var rest = unsafe bytes
        while unsafe !rest.isEmpty {
            let count = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count < 0 {
                // Nobody reads the log any more; there is no one to tell either.
                if errno == EINTR { continue }
                return
            }
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Writes what is left and ends the thread.
    package func stop() {
        isStopping.store(true, ordering: .relaxed)
        thread.withLock { $0 }?.join()
    }
}

/// Operational lines on stderr, from any thread.
package final class EventLog: Sendable {
    private let lock = Mutex(())
    private let isQuiet: Bool

    /// A log; a quiet one shows warnings and errors only.
    package init(isQuiet: Bool = false) { self.isQuiet = isQuiet }

    /// Writes one line.
    package func write(_ level: LogLevel, _ message: String, _ fields: [(StaticString, String)]) {
        guard !isQuiet || level >= .warning else { return }
        var line = LogLine(level, message, at: WallTime(nanoseconds: Machine.wallClock()))
        for (key, value) in fields { line.add(key, value) }
        let bytes = line.bytes
        lock.withLock { _ in _ = unsafe Glibc.write(2, bytes, bytes.count) }
    }
}
