private import Glibc
package import SluiceIO

/// What one log's lines are written to; its writer thread alone uses it.
///
/// Lines go out whole. Into a pipe or socket they go in chunks of whole lines of at most 4,096 bytes,
/// which a pipe takes at once or not at all (POSIX `write`, `PIPE_BUF`), so that two logs may share one.
/// What was begun and not finished, as on a full disk, is finished before anything else.
package struct LogOutput: ~Copyable {
    /// What a log may be written to.
    package enum Target: Sendable {
        /// A descriptor that the process began with; it stays open.
        case descriptor(Int32)
        /// A file, which may be opened anew.
        case file(String)
    }

    private let target: Target
    private(set) var descriptor: Int32
    /// Whether it is a file on a disk, which a write never waits for.
    private(set) var isRegular = false
    private var isSocket = false
    /// What is left of a line whose beginning was written.
    private var rest: [UInt8] = []
    /// The system's number of what the last write failed with; 0 after one that did not.
    package private(set) var failure: Int32 = 0

    private static let chunkBytes = 4_096

    /// Opens `target`, without waiting for a reader of a named pipe.
    package init(_ target: Target) throws(KernelFailure) {
        self.target = target
        switch target {
        case .descriptor(let number): descriptor = number
        case .file(let path): descriptor = try LogOutput.open(path)
        }
        learnKind()
    }

    deinit {
        if case .file = target { close(descriptor) }
    }

    private static func open(_ path: String) throws(KernelFailure) -> Int32 {
        let flags = O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
        var descriptor = unsafe Glibc.open(path, O_WRONLY | flags, 0o644)
        // A named pipe without a reader: held open from both ends, it keeps what fits until one comes.
        if descriptor < 0, errno == ENXIO {
            descriptor = unsafe Glibc.open(path, O_RDWR | flags, 0o644)
        }
        guard descriptor >= 0 else {
            throw KernelFailure(
                call: "open access log \(path)",
                code: errno,
                text: Machine.describe(errno: errno)
            )
        }
        return descriptor
    }

    private mutating func learnKind() {
        var status = stat()
        let isKnown = unsafe fstat(descriptor, &status) == 0
        isRegular = isKnown && status.st_mode & S_IFMT == S_IFREG
        isSocket = isKnown && status.st_mode & S_IFMT == S_IFSOCK
    }

    /// Opens the file's path anew, as after a rotation; the old file stays if that fails.
    ///
    /// - Returns: how many lines were begun in the old file and never finished.
    package mutating func reopen() throws(KernelFailure) -> Int {
        guard case .file(let path) = target else { return 0 }
        let opened = try LogOutput.open(path)
        // The old file may take what is left of its last line now.
        let unfinished = finishRest({ false }) ? 0 : 1
        rest = []
        close(descriptor)
        descriptor = opened
        learnKind()
        return unfinished
    }

    // MARK: - Writing

    /// Writes whole lines, sleeping while there is no room for as long as `mayWait` allows.
    ///
    /// `mayWait` is asked every 50 ms. Lines that can't be written are gone.
    /// - Returns: how many are.
    package mutating func write(
        _ bytes: UnsafeRawBufferPointer,
        mayWait: () -> Bool
    ) -> Int {
        guard finishRest(mayWait) else { return unsafe LogOutput.lines(in: bytes[...]) }
        var start = 0
        while start < bytes.count {
            let end = unsafe chunkEnd(of: bytes, from: start)
            let chunk = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            let written = unsafe transfer(chunk, mayWait)
            start += written
            guard start < end else { continue }
            guard start > 0, unsafe bytes[start - 1] != LogOutput.lineFeed else {
                return unsafe LogOutput.lines(in: bytes[start...])
            }
            // A line was begun; it counts as lost only if it is never finished.
            let lineEnd = unsafe bytes[start...].firstIndex(of: LogOutput.lineFeed)
            let next = lineEnd.map { $0 + 1 } ?? bytes.count
            unsafe rest = Array(bytes[start..<next])
            return unsafe LogOutput.lines(in: bytes[next...])
        }
        return 0
    }

    /// Gives up a line that was begun; how many lines that loses.
    package mutating func abandon() -> Int {
        defer { rest = [] }
        return finishRest({ false }) ? 0 : 1
    }

    private static let lineFeed: UInt8 = 0x0A

    private static func lines(in bytes: Slice<UnsafeRawBufferPointer>) -> Int {
        unsafe bytes.count { $0 == lineFeed }
    }

    private mutating func finishRest(_ mayWait: () -> Bool) -> Bool {
        guard !rest.isEmpty else { return true }
        let kept = rest
        let written = unsafe kept.withUnsafeBytes { unsafe transfer($0, mayWait) }
        rest.removeFirst(written)
        return rest.isEmpty
    }

    /// The end of what is written in one call: whole lines if they fit.
    private func chunkEnd(of bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        let limit = min(bytes.count, start + LogOutput.chunkBytes)
        if isRegular { return bytes.count }
        guard limit < bytes.count else { return limit }
        return unsafe bytes[start..<limit].lastIndex(of: LogOutput.lineFeed).map { $0 + 1 } ?? limit
    }

    /// How much of `bytes` could be written.
    private mutating func transfer(_ bytes: UnsafeRawBufferPointer, _ mayWait: () -> Bool) -> Int {
        var done = 0
        while done < bytes.count {
            guard isRegular || hasRoom(mayWait) else { return done }
            let left = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            // The bytes are the caller's for the call.
            let count =
                unsafe isSocket
                ? send(
                    descriptor,
                    left.baseAddress,
                    left.count,
                    Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
                )
                : Glibc.write(descriptor, left.baseAddress, left.count)
            if count >= 0 {
                failure = 0
                done += count
                continue
            }
            let code = errno
            if code == EINTR { continue }
            guard code == EAGAIN else {
                failure = code
                return done
            }
            // Another writer was quicker than this one.
            guard mayWait() else { return done }
            usleep(5_000)
        }
        return done
    }

    /// Sleeps until the descriptor takes something or has failed.
    private func hasRoom(_ mayWait: () -> Bool) -> Bool {
        var timeout: Int32 = 0
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let count = unsafe poll(&entry, 1, timeout)
            if count > 0 { return true }
            // What poll can't look at, the write itself will say.
            if count < 0, errno != EINTR { return true }
            guard mayWait() else { return false }
            timeout = 50
        }
    }
}
