private import CLinux
private import Glibc
package import SluiceCore

/// The real thing: epoll, eventfd and non-blocking sockets.
@safe
package final class LinuxKernel: Kernel {
    private let epoll: Int32
    private let wakeup: EventDescriptor
    private let batch: UnsafeMutablePointer<clinux_event>
    /// Listening descriptors of socket files.
    private var socketFiles: Set<Int32> = []
    private static let batchCapacity = 512
    private static let wakeToken = UInt64.max

    /// An epoll instance with its wake-up descriptor.
    package init() throws(KernelFailure) {
        epoll = try LinuxKernel.check(clinux_epoll_create(), "epoll_create")
        let descriptor = try LinuxKernel.check(clinux_eventfd(), "eventfd")
        wakeup = EventDescriptor(descriptor)
        unsafe batch = .allocate(capacity: LinuxKernel.batchCapacity)
        _ = clinux_epoll_control(
            epoll,
            0,
            descriptor,
            UInt32(CLINUX_READABLE),
            LinuxKernel.wakeToken
        )
    }

    deinit {
        unsafe batch.deallocate()
        _ = Glibc.close(epoll)
    }

    package var waker: any LoopWaker { wakeup }

    package func now() -> Instant { Instant(nanoseconds: clinux_monotonic_nanoseconds()) }

    package func wallClock() -> Int64 { clinux_realtime_nanoseconds() }

    package func wait(
        into events: UnsafeMutableBufferPointer<Readiness>,
        until deadline: Instant?
    ) -> Int {
        var milliseconds: Int32 = -1
        if let deadline {
            // Rounded up: waking a little late is better than spinning until the time has come.
            let wait = max(0, deadline.nanoseconds - now().nanoseconds)
            milliseconds = Int32(clamping: (wait + 999_999) / 1_000_000)
        }
        let found = unsafe clinux_epoll_wait(
            epoll,
            batch,
            Int32(min(events.count, LinuxKernel.batchCapacity)),
            milliseconds
        )
        precondition(found >= 0, "epoll_wait refused its own descriptor")
        var count = 0
        for index in 0..<Int(found) {
            let event = unsafe batch[index]
            if event.token == LinuxKernel.wakeToken {
                wakeup.clear()
                continue
            }
            unsafe events[count] = Readiness(
                token: event.token,
                isReadable: event.ready & UInt32(CLINUX_READABLE) != 0,
                isWritable: event.ready & UInt32(CLINUX_WRITABLE) != 0,
                isBroken: event.ready & UInt32(CLINUX_HANGUP) != 0
            )
            count += 1
        }
        return count
    }

    package func listen(
        on address: SocketAddress,
        backlog: Int,
        sharesPort: Bool
    ) throws(KernelFailure) -> Int32 {
        if address.family == .unix {
            let descriptor = try ListeningFiles.ofThisProcess.listen(
                at: address,
                backlog: backlog,
                isShared: sharesPort
            )
            socketFiles.insert(descriptor)
            return descriptor
        }
        let result = unsafe address.bytes.withUnsafeBufferPointer { bytes in
            unsafe clinux_listen(
                address.family.rawValue,
                bytes.baseAddress,
                Int32(bytes.count),
                address.port,
                Int32(backlog),
                sharesPort ? 1 : 0
            )
        }
        return try LinuxKernel.check(result, "listen on \(address)")
    }

    package func withdraw(_ listener: Int32) {
        if socketFiles.contains(listener) { ListeningFiles.ofThisProcess.withdraw(listener) }
    }

    package func localPort(of descriptor: Int32) -> UInt16 {
        UInt16(clamping: clinux_local_port(descriptor))
    }

    package func accept(from listener: Int32) -> AcceptResult {
        var family: Int32 = 0
        var port: UInt16 = 0
        var bytes = InlineArray<16, UInt8>(repeating: 0)
        let descriptor = unsafe withUnsafeMutablePointer(to: &bytes) { place in
            unsafe place.withMemoryRebound(to: UInt8.self, capacity: 16) { raw in
                unsafe clinux_accept(listener, &family, raw, &port)
            }
        }
        guard descriptor >= 0 else {
            switch -descriptor {
            case EAGAIN: return .wouldBlock
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
            default: return .aborted
            }
        }
        let kind = SocketAddress.Family(rawValue: family) ?? .unix
        let length = kind == .ipv4 ? 4 : kind == .ipv6 ? 16 : 0
        return .accepted(
            descriptor: descriptor,
            peer: SocketAddress(family: kind, bytes: (0..<length).map { bytes[$0] }, port: port)
        )
    }

    package func connect(to address: SocketAddress) throws(KernelFailure) -> Int32 {
        let result = unsafe address.bytes.withUnsafeBufferPointer { bytes in
            unsafe clinux_connect(
                address.family.rawValue,
                bytes.baseAddress,
                Int32(bytes.count),
                address.port
            )
        }
        return try LinuxKernel.check(result, "connect to \(address)")
    }

    package func connectFailure(of descriptor: Int32) -> Int32? {
        let result = clinux_connect_result(descriptor)
        return result == 0 ? nil : -result
    }

    package func read(
        _ descriptor: Int32,
        into memory: UnsafeMutableRawBufferPointer
    ) -> TransferResult {
        while true {
            let count = unsafe Glibc.read(descriptor, memory.baseAddress, memory.count)
            if count > 0 { return .moved(count) }
            if count == 0 { return .ended }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case let code: return .failed(code)
            }
        }
    }

    /// See ``Kernel/isQuiet(_:)``.
    package func isQuiet(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        while true {
            // One byte of our own, which the call fills at most.
            let count = unsafe Glibc.recv(descriptor, &byte, 1, Int32(MSG_PEEK))
            if count >= 0 { return false }
            if errno != EINTR { return errno == EAGAIN }
        }
    }

    package func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> TransferResult {
        while true {
            // MSG_NOSIGNAL: a closed peer is an error here, not a signal.
            let count = unsafe Glibc.send(
                descriptor,
                bytes.baseAddress,
                bytes.count,
                Int32(MSG_NOSIGNAL)
            )
            if count >= 0 { return count == 0 ? .wouldBlock : .moved(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case let code: return .failed(code)
            }
        }
    }

    package func shutdownWrite(_ descriptor: Int32) {
        _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }

    package func close(_ descriptor: Int32) {
        if !socketFiles.isEmpty, socketFiles.remove(descriptor) != nil {
            ListeningFiles.ofThisProcess.close(descriptor)
        } else {
            let result = Glibc.close(descriptor)
            precondition(result == 0 || errno != EBADF, "a descriptor is closed once")
        }
    }

    package func reset(_ descriptor: Int32) {
        // No time to linger: socket(7), "SO_LINGER"; what waits to be sent is dropped.
        var option = Glibc.linger(l_onoff: 1, l_linger: 0)
        let size = socklen_t(MemoryLayout<Glibc.linger>.size)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, size)
        close(descriptor)
    }

    package func watch(_ descriptor: Int32, for interest: Interest, token: UInt64) {
        // Of the loops that wait for one queue, one wakes for a connection and not all.
        let isShared = !socketFiles.isEmpty && socketFiles.contains(descriptor)
        let flag = isShared ? UInt32(CLINUX_EXCLUSIVE) : 0
        control(0, descriptor, interest.rawValue | flag, token)
    }

    package func rewatch(_ descriptor: Int32, for interest: Interest, token: UInt64) {
        control(1, descriptor, interest.rawValue, token)
    }

    package func unwatch(_ descriptor: Int32) { control(2, descriptor, 0, 0) }

    private func control(
        _ operation: Int32,
        _ descriptor: Int32,
        _ interest: UInt32,
        _ token: UInt64
    ) {
        let result = clinux_epoll_control(epoll, operation, descriptor, interest, token)
        precondition(result == 0, "epoll_ctl was asked about a descriptor it doesn't know")
    }

    static func check(
        _ result: Int32,
        _ call: @autoclosure () -> String
    ) throws(KernelFailure) -> Int32 {
        guard result < 0 else { return result }
        throw KernelFailure(
            call: call(),
            code: -result,
            text: unsafe String(cString: strerror(-result))
        )
    }
}

/// An eventfd: writing wakes whoever polls it.
private final class EventDescriptor: LoopWaker {
    private let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { _ = Glibc.close(descriptor) }

    func wake() {
        var one: UInt64 = 1
        _ = unsafe Glibc.write(descriptor, &one, 8)
    }

    func clear() {
        var count: UInt64 = 0
        _ = unsafe Glibc.read(descriptor, &count, 8)
    }
}

/// What a process may ask of the machine, outside any loop.
package enum Machine {
    /// Nanoseconds since the Unix epoch.
    package static func wallClock() -> Int64 { clinux_realtime_nanoseconds() }

    /// Cores this process may run on.
    package static var coreCount: Int {
        let cores = max(1, Int(clinux_core_count()))
        return min(cores, CPUQuota.ofThisProcess() ?? cores)
    }

    /// What the system calls error number `code`.
    package static func describe(errno code: Int32) -> String {
        unsafe String(cString: strerror(code))
    }

    /// Begins to write a range of a file to disk, without waiting for it.
    package static func startWriting(_ descriptor: Int32, from offset: Int64, count: Int64) {
        clinux_start_writing(descriptor, offset, count)
    }

    /// Drops a range of a file that has reached the disk from the page cache.
    package static func dropWritten(_ descriptor: Int32, from offset: Int64, count: Int64) {
        clinux_drop_written(descriptor, offset, count)
    }

    /// Gives memory back to the system that was freed and that the allocator keeps (malloc_trim(3)).
    package static func trimMemory() { clinux_trim_memory() }

    /// Lets all threads share the allocator's first arena (mallopt(3), M_ARENA_MAX); to be called before
    /// there are other threads.
    ///
    /// What one worker keeps in the cache another evicts, so each arena of its own fills with gaps:
    /// ten million distinct answers in a cache of 128 MiB took 152 MiB with two arenas and 118 with
    /// one. A prediction allocates nothing, and glibc's caches per thread serve most of what the
    /// cache does, so there is next to nothing to wait for.
    package static func useOneArena() { clinux_use_one_arena() }

    /// Writes each line of the process's stdout when it ends, whatever stdout is.
    package static func bufferStandardOutputByLine() { clinux_line_buffer_stdout() }

    /// Lifts the soft limit on descriptors to the hard one; returns the limit in force.
    package static func raiseDescriptorLimit() -> Int {
        Int(max(0, clinux_raise_descriptor_limit()))
    }
}
