import Foundation
import Glibc
import SluiceConfiguration
import SluiceControl
import SluiceIO
import SluiceTelemetry
import Synchronization
import Testing

/// A pipe of one page whose ends are closed with it.
private final class OnePagePipe: Sendable {
    let read: Int32
    let write: Int32
    private let isReadOpen = Mutex(true)

    init(isBlocking: Bool = true) {
        var ends: [Int32] = [-1, -1]
        unsafe #expect(pipe(&ends) == 0)
        (read, write) = (ends[0], ends[1])
        // F_SETPIPE_SZ
        #expect(fcntl(write, 1031, 4_096) == 4_096)
        if !isBlocking { #expect(fcntl(write, F_SETFL, O_NONBLOCK) == 0) }
        #expect(fcntl(read, F_SETFL, O_NONBLOCK) == 0)
        _ = signal(SIGPIPE, SIG_IGN)
    }

    deinit {
        hangUp()
        close(write)
    }

    func hangUp() {
        isReadOpen.withLock { isOpen in
            if isOpen { close(read) }
            isOpen = false
        }
    }

    /// All that is in the pipe now.
    func take() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 8_192)
        let count = unsafe Glibc.read(read, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }

    /// All that comes until `enough` says so.
    func take(until enough: (String) -> Bool) -> String {
        var bytes: [UInt8] = []
        while !enough(String(decoding: bytes, as: UTF8.self)) {
            let more = take()
            if more.isEmpty { usleep(500) }
            bytes += more
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Lines of 100 to 299 bytes that end with their number.
private func lines(_ numbers: Range<Int>) -> [String] {
    numbers.map { String(repeating: "x", count: 90 + ($0 * 37) % 200) + " \($0)" }
}

private func bytes(_ lines: [String]) -> [UInt8] { lines.flatMap { Array(($0 + "\n").utf8) } }

private func write(
    _ bytes: [UInt8],
    to output: inout LogOutput,
    mayWait: () -> Bool = { false }
) -> Int {
    unsafe bytes.withUnsafeBytes { unsafe output.write($0, mayWait: mayWait) }
}

@Suite("Logs never stop who serves, and count what they lose", .timeLimit(.minutes(1)))
struct LogTests {
    @Test("A full pipe takes whole lines, and the rest is counted", arguments: [true, false])
    func fullPipe(isBlocking: Bool) throws {
        let pipe = OnePagePipe(isBlocking: isBlocking)
        var output = try LogOutput(.descriptor(pipe.write))
        let all = lines(0..<500)
        let lost = write(bytes(all), to: &output)
        let text = String(decoding: pipe.take(), as: UTF8.self)
        let seen = text.split(separator: "\n").map(String.init)
        #expect(text.hasSuffix("\n"))
        #expect(!seen.isEmpty && lost > 0)
        #expect(seen + all.suffix(lost) == all)
        // Read empty, it goes on with a whole line.
        #expect(write(bytes(["more"]), to: &output) == 0)
        #expect(pipe.take() == bytes(["more"]))
    }

    @Test("Two logs that share a pipe don't tear each other's lines", arguments: [true, false])
    func sharedPipe(isBlocking: Bool) throws {
        let pipe = OnePagePipe(isBlocking: isBlocking)
        let ended = Atomic<Int>(0)
        for start in [0, 10_000] {
            let thread = LoopThread.start(core: nil) {
                guard var output = try? LogOutput(.descriptor(pipe.write)) else { return }
                ended.add(
                    1 + write(bytes(lines(start..<start + 400)), to: &output) { true },
                    ordering: .relaxed
                )
            }
            thread.detach()
        }
        let text = pipe.take { $0.utf8.count { $0 == 0x0A } == 800 }
        let seen = text.split(separator: "\n").map(String.init)
        #expect(Set(seen) == Set(lines(0..<400) + lines(10_000..<10_400)))
    }

    @Test("A reader that is gone loses lines, all of them counted")
    func goneReader() throws {
        let pipe = OnePagePipe()
        pipe.hangUp()
        var output = try LogOutput(.descriptor(pipe.write))
        #expect(write(bytes(lines(0..<30)), to: &output) { true } == 30)
        #expect(output.failure == EPIPE)
    }

    @Test("A full disk loses lines, all of them counted")
    func fullDisk() throws {
        var output = try LogOutput(.file("/dev/full"))
        #expect(write(bytes(lines(0..<30)), to: &output) { true } == 30)
        #expect(output.failure == ENOSPC)
    }

    @Test("A line longer than what a pipe takes at once is continued, not torn")
    func longLine() throws {
        let pipe = OnePagePipe(isBlocking: false)
        var output = try LogOutput(.descriptor(pipe.write))
        let long = String(repeating: "y", count: 6_000)
        #expect(write(bytes([long, "b"]), to: &output) == 1)
        let begun = pipe.take()
        #expect(write(bytes(["c"]), to: &output) == 1)
        let more = pipe.take()
        let isWhole = begun + more == bytes([long])
        #expect(isWhole)
        #expect(write(bytes(["d"]), to: &output) == 0)
        #expect(pipe.take() == bytes(["d"]))
        #expect(output.abandon() == 0)
    }

    @Test("A file opened anew begins with a whole line")
    func reopened() throws {
        let path = FileManager.default.temporaryDirectory.path + "/sluice-log-\(UUID())"
        defer { for end in ["", ".1"] { try? FileManager.default.removeItem(atPath: path + end) } }
        var output = try LogOutput(.file(path))
        #expect(write(bytes(["old"]), to: &output) == 0)
        try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
        #expect(write(bytes(["late"]), to: &output) == 0)
        #expect(try output.reopen() == 0)
        #expect(write(bytes(["new"]), to: &output) == 0)
        #expect(try String(contentsOfFile: path + ".1", encoding: .utf8) == "old\nlate\n")
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "new\n")
    }

    @Test("Events into a pipe that is full never wait; those without room are counted, and said")
    func eventsIntoFullPipe() {
        let pipe = OnePagePipe()
        let log = EventLog(descriptor: pipe.write)
        // Some 600 KB, of which 4 KB fit into the pipe and 256 KB wait.
        for number in 0..<6_000 { log.write(.info, "event", [("number", "\(number) \(padding)")]) }
        #expect(log.droppedLines > 0)
        let text = pipe.take { $0.contains("lines of this log were lost") && $0.hasSuffix("\n") }
        let seen = text.split(separator: "\n")
        let events = seen.filter { $0.contains(" event ") }
        #expect(UInt64(events.count) + log.droppedLines == 6_000)
        #expect(events.allSatisfy { $0.hasSuffix(padding + "\"") })
        #expect(seen.count - events.count == 1)
        #expect(text.contains("lost=\(log.droppedLines)"))
    }

    private var padding: String { String(repeating: "z", count: 60) }

    @Test("A log whose reader takes nothing ends within its bound, and counts what it kept")
    func boundedEnd() {
        let pipe = OnePagePipe()
        let log = EventLog(descriptor: pipe.write)
        for number in 0..<200 { log.write(.info, "event", [("number", "\(number) \(padding)")]) }
        log.close(within: .milliseconds(100))
        let seen = String(decoding: pipe.take(), as: UTF8.self).split(separator: "\n")
        #expect(UInt64(seen.count) + log.droppedLines == 200)
        #expect(log.droppedLines > 0)
    }

    @Test("The access log counts what a full disk loses, and says it once")
    func accessLogOnFullDisk() throws {
        let pipe = OnePagePipe()
        let log = EventLog(descriptor: pipe.write)
        let writer = AccessLogWriter.start(
            try LogOutput(.file("/dev/full")),
            name: "/dev/full",
            log: log
        )
        for _ in 0..<2 {
            let buffer = AccessBuffer(channel: writer.channel)
            for _ in 0..<50 { buffer.append(AccessRecord(start: WallTime(nanoseconds: 0))) }
        }
        writer.stop()
        #expect(writer.channel.droppedLines == 100)
        log.close()
        let said = String(decoding: pipe.take(), as: UTF8.self).split(separator: "\n")
        #expect(said.count == 1)
        #expect(said.first?.contains("the access log loses lines") == true)
        #expect(said.first?.contains("No space left") == true)
    }
}
