private import Glibc
import SluiceCore
import SluiceIO
package import SluiceTelemetry
private import Synchronization

/// Operational lines on stderr, from any thread, none of which ever waits for who reads them.
///
/// Lines wait for a thread of the log's own, 256 KiB of them; lines beyond are dropped and counted,
/// and the log says how many once it is read again.
package final class EventLog: Sendable {
    private let isQuiet: Bool
    private let queue: EventQueue

    /// A log on stderr; a quiet one shows warnings and errors only.
    package convenience init(isQuiet: Bool = false) {
        self.init(descriptor: 2, isQuiet: isQuiet)
    }

    /// A log on `descriptor`, which stays open.
    package init(descriptor: Int32, isQuiet: Bool = false) {
        self.isQuiet = isQuiet
        queue = EventQueue(descriptor: descriptor)
    }

    deinit { close() }

    /// How many lines found no room or could not be written.
    package var droppedLines: UInt64 { queue.droppedLines }

    /// Writes one line, soon.
    package func write(_ level: LogLevel, _ message: String, _ fields: [(StaticString, String)]) {
        guard !isQuiet || level >= .warning else { return }
        var line = LogLine(level, message, at: WallTime(nanoseconds: Machine.wallClock()))
        for (key, value) in fields { line.add(key, Redaction.text(value)) }
        queue.append(EventLog.bounded(line.bytes))
    }

    /// Waits for the lines so far, no longer than `bound`, and takes no more.
    package func close(within bound: Duration = .seconds(1)) {
        queue.end(within: bound)
        queue.wait(within: bound)
    }

    // A pipe takes so much at once or not at all, and one line mustn't take all the room.
    private static let lineBytes = 4_096

    /// The line, cut at a character if it is long.
    private static func bounded(_ line: [UInt8]) -> [UInt8] {
        guard line.count > lineBytes else { return line }
        var count = lineBytes - 4
        // A byte of 10xxxxxx continues a character.
        while count > 0, line[count] & 0xC0 == 0x80 { count -= 1 }
        return line[..<count] + Array("…\n".utf8)
    }
}

/// The lines that wait, and the thread that writes them.
private final class EventQueue: Sendable {
    private struct Lines {
        var bytes: [UInt8] = []
        var count = 0
        var thread: LoopThread?
        var isClosed = false
        var isRunning = false
    }

    private let descriptor: Int32
    private let lines = Mutex(Lines())
    private let dropped = Atomic<UInt64>(0)
    private let deadline = Atomic<Int64>(.max)
    private let isDone = Atomic<Bool>(false)
    private let bell = Bell()

    private static let bytesMaximum = 256 << 10
    private static let lookInterval: Int32 = 1_000

    init(descriptor: Int32) { self.descriptor = descriptor }

    var droppedLines: UInt64 { dropped.load(ordering: .relaxed) }

    func append(_ line: [UInt8]) {
        let isTaken = lines.withLock { lines in
            guard !lines.isClosed, lines.bytes.count + line.count <= EventQueue.bytesMaximum else {
                return false
            }
            lines.bytes += line
            if !lines.isRunning {
                lines.isRunning = true
                lines.thread = LoopThread.start(core: nil) { self.run() }
            }
            return true
        }
        if isTaken { bell.ring() } else { dropped.add(1, ordering: .relaxed) }
    }

    /// Takes no more lines; those that can't be written within `bound` are counted.
    func end(within bound: Duration) {
        let latest = Machine.wallClock() + bound.nanoseconds
        let isFirst = lines.withLock { lines in
            defer { lines.isClosed = true }
            return !lines.isClosed
        }
        if isFirst { deadline.store(latest, ordering: .relaxed) }
        bell.ring()
    }

    /// Waits for the thread's end, but not for a write that hangs.
    func wait(within bound: Duration) {
        let thread = lines.withLock { lines in
            defer { lines.thread = nil }
            return lines.thread
        }
        guard let thread else { return }
        let latest = Machine.wallClock() + bound.nanoseconds + 500_000_000
        let isEnded = waitForLog(until: latest) { isDone.load(ordering: .acquiring) }
        if isEnded { thread.join() } else { thread.detach() }
    }

    // MARK: - The thread

    private func run() {
        blockEverySignal()
        guard var output = try? LogOutput(.descriptor(descriptor)) else { return }
        var losses = LogLosses()
        while true {
            let (bytes, isLast) = lines.withLock { lines in
                defer { lines.bytes = [] }
                return (lines.bytes, lines.isClosed)
            }
            if !bytes.isEmpty { write(bytes, to: &output) }
            report(losses.look(droppedLines, at: Machine.wallClock()), &output)
            if isLast, bytes.isEmpty { break }
            if !isLast { bell.wait(losses.isLosing ? EventQueue.lookInterval : -1) }
        }
        count(lost: output.abandon())
        isDone.store(true, ordering: .releasing)
    }

    private func write(_ bytes: [UInt8], to output: inout LogOutput) {
        // The array lives through the call.
        let lost = unsafe bytes.withUnsafeBytes {
            unsafe output.write($0) {
                Machine.wallClock() < deadline.load(ordering: .relaxed)
            }
        }
        count(lost: lost)
    }

    /// That lines are being lost can't be said where they are lost; that they were, afterwards.
    private func report(_ notice: LogLosses.Notice?, _ output: inout LogOutput) {
        guard case .over(let count) = notice else { return }
        var line = LogLine(
            .warning,
            "lines of this log were lost; sluice_log_lines_dropped_total counts them",
            at: WallTime(nanoseconds: Machine.wallClock())
        )
        line.add("lost", Int(clamping: count))
        write(line.bytes, to: &output)
    }

    private func count(lost: Int) {
        if lost > 0 { dropped.add(UInt64(lost), ordering: .relaxed) }
    }
}

/// Wakes a thread; ringing never waits.
private final class Bell: Sendable {
    private let ends: (read: Int32, write: Int32)

    init() {
        var pair: [Int32] = [-1, -1]
        // Without descriptors the thread looks by the clock.
        _ = unsafe pipe(&pair)
        for end in pair where end >= 0 {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        ends = (pair[0], pair[1])
    }

    deinit {
        if ends.read >= 0 { close(ends.read) }
        if ends.write >= 0 { close(ends.write) }
    }

    func ring() {
        var byte: UInt8 = 0
        // A full pipe has rung already.
        _ = unsafe write(ends.write, &byte, 1)
    }

    /// Sleeps until the bell rings or `milliseconds` are over; -1 is no bound.
    func wait(_ milliseconds: Int32) {
        var entry = pollfd(fd: ends.read, events: Int16(POLLIN), revents: 0)
        let isDeaf = ends.read < 0
        _ = unsafe poll(&entry, 1, isDeaf ? 50 : milliseconds)
        var bytes: (UInt64, UInt64) = (0, 0)
        // The tuple has the sixteen bytes that are read at most.
        while unsafe read(ends.read, &bytes, 16) == 16 {}
    }
}
