private import Glibc
package import SluiceCore
package import SluiceIO
import Synchronization

/// A kernel that isn't real: descriptors into a ``SimulatedNetwork``, watched as epoll would.
///
/// Descriptors are never reused, so that using a closed one is always seen; what a real kernel
/// would answer with EBADF is noted as a violation of the network.
package final class SimulatedKernel: Kernel {
    private enum Object {
        case listener(SimulatedListener)
        case connection(SimulatedConnection, side: Int)
        case closed
    }

    private struct Watch {
        let descriptor: Int32
        var interest: Interest
        var token: UInt64
    }

    private let network: SimulatedNetwork
    private let number: Int
    private let name: String
    private let first: Int32
    private var objects: [Object] = []
    private var watches: [Watch] = []
    private let bell = Bell()

    /// Descriptors that are open.
    package private(set) var openDescriptorCount = 0
    /// Descriptors that were ever opened.
    package var descriptorTotal: Int { objects.count }

    init(network: SimulatedNetwork, number: Int, name: String) {
        self.network = network
        self.number = number
        self.name = name
        first = Int32(number + 1) * 10_000
    }

    private var time: Instant { network.clock.now }

    package func now() -> Instant { network.clock.now }

    // Some day in 2026, and another second for each kernel: loops seed generators with it.
    package func wallClock() -> Int64 {
        1_790_000_000_000_000_000 + Int64(number) * 1_000_000_000 + network.clock.now.nanoseconds
            + network.wallOffset
    }

    package var waker: any LoopWaker { bell }

    // MARK: - Waiting

    /// Whether ``wait(into:until:)`` would return at once.
    var hasEvents: Bool {
        let now = network.clock.now
        for index in 0..<watches.count where report(watches[index], at: now) != nil {
            return true
        }
        return false
    }

    /// Whether somebody has interrupted the wait that comes.
    var isWoken: Bool { bell.isRung }

    package func wait(
        into events: UnsafeMutableBufferPointer<Readiness>,
        until deadline: Instant?
    ) -> Int {
        bell.clear()
        guard !watches.isEmpty else { return 0 }
        let now = network.clock.now
        var count = 0
        // Anything may come first in a real kernel's list.
        let start = network.random.next(below: watches.count)
        for step in 0..<watches.count where count < events.count {
            let watch = watches[(start + step) % watches.count]
            guard let readiness = report(watch, at: now) ?? spurious(watch) else { continue }
            unsafe events[count] = readiness
            count += 1
        }
        network.trace.note(.tick, number, count, Int(now.nanoseconds))
        return count
    }

    private func report(_ watch: Watch, at now: Instant) -> Readiness? {
        var state = (read: false, write: false, broken: false)
        switch objects[Int(watch.descriptor - first)] {
        case .listener(let listener): state.read = listener.isReadable(at: now)
        case .connection(let connection, let side):
            state = connection.readiness(of: side, at: now)
        case .closed: break
        }
        let interest = watch.interest.rawValue
        let isReadable = state.read && interest & Interest.read.rawValue != 0
        let isWritable = state.write && interest & Interest.write.rawValue != 0
        guard isReadable || isWritable || state.broken else { return nil }
        return Readiness(
            token: watch.token,
            isReadable: isReadable,
            isWritable: isWritable,
            isBroken: state.broken
        )
    }

    private func spurious(_ watch: Watch) -> Readiness? {
        guard case .connection(let connection, let side) = objects[Int(watch.descriptor - first)],
            connection.plan.happens(connection.plan.spurious, &network.random),
            watch.interest.contains(.read),
            side == 1 || connection.acceptable <= network.clock.now
        else { return nil }
        return Readiness(
            token: watch.token,
            isReadable: true,
            isWritable: false,
            isBroken: false
        )
    }

    // MARK: - Sockets

    package func listen(
        on address: SocketAddress,
        backlog: Int,
        sharesPort: Bool
    ) throws(KernelFailure) -> Int32 {
        guard
            let listener = network.listen(
                on: address,
                backlog: backlog,
                sharesPort: sharesPort
            )
        else {
            throw KernelFailure(call: "listen on \(address)", code: EADDRINUSE, text: "in use")
        }
        network.trace.note(.listen, number, Int(listener.port), 0)
        return open(.listener(listener))
    }

    package func localPort(of descriptor: Int32) -> UInt16 {
        guard case .listener(let listener) = object(descriptor, "localPort") else { return 0 }
        return listener.port
    }

    package func withdraw(_ listener: Int32) {
        guard case .listener(let socket) = object(listener, "withdraw") else { return }
        network.changed()
        network.withdraw(socket)
    }

    package func accept(from listener: Int32) -> AcceptResult {
        network.changed()
        guard case .listener(let socket) = object(listener, "accept"),
            socket.isReadable(at: time), let next = socket.next
        else { return .wouldBlock }
        if next.plan.happens(next.plan.exhausted, &network.random) {
            network.trace.note(.accept, number, 0, -1)
            return .exhausted
        }
        guard let connection = socket.take(at: time) else { return .wouldBlock }
        if connection.isAborted {
            network.trace.note(.accept, number, 0, -2)
            connection.breakOff(at: time, &network.random)
            connection.close(1, at: time, &network.random)
            network.closed(connection)
            return .aborted
        }
        let descriptor = open(.connection(connection, side: 1))
        network.trace.note(.accept, number, Int(descriptor), Int(connection.clientPort))
        let peer: SocketAddress =
            socket.isFile ? .unix(path: "") : .loopback(port: connection.clientPort)
        return .accepted(descriptor: descriptor, peer: peer)
    }

    package func connect(to address: SocketAddress) throws(KernelFailure) -> Int32 {
        guard !network.isFull(address) else {
            throw KernelFailure(call: "connect to \(address)", code: EAGAIN, text: "try again")
        }
        guard let connection = network.connect(to: address) else {
            throw KernelFailure(
                call: "connect to \(address)",
                code: ENETUNREACH,
                text: "Network is unreachable"
            )
        }
        let descriptor = open(.connection(connection, side: 0))
        network.trace.note(.connect, number, Int(descriptor), Int(address.port))
        return descriptor
    }

    package func connectFailure(of descriptor: Int32) -> Int32? {
        guard case .connection(let connection, let side) = object(descriptor, "connectFailure")
        else { return EBADF }
        network.changed()
        return connection.failure(of: side, at: time)
    }

    // MARK: - Bytes

    package func read(
        _ descriptor: Int32,
        into memory: UnsafeMutableRawBufferPointer
    ) -> TransferResult {
        guard case .connection(let connection, let side) = object(descriptor, "read") else {
            return .failed(EBADF)
        }
        network.changed()
        let result = unsafe connection.read(side, into: memory, at: time, &network.random)
        network.trace.note(.read, number, Int(descriptor), result.outcome)
        return result
    }

    /// See ``Kernel/isQuiet(_:)``.
    package func isQuiet(_ descriptor: Int32) -> Bool {
        guard case .connection(let connection, let side) = object(descriptor, "recv") else {
            return false
        }
        return !connection.readiness(of: side, at: time).read
    }

    package func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> TransferResult {
        guard case .connection(let connection, let side) = object(descriptor, "write") else {
            return .failed(EBADF)
        }
        network.changed()
        let result = unsafe connection.write(side, bytes, at: time, &network.random)
        network.trace.note(.write, number, Int(descriptor), result.outcome)
        return result
    }

    package func shutdownWrite(_ descriptor: Int32) {
        guard case .connection(let connection, let side) = object(descriptor, "shutdown") else {
            return
        }
        network.changed()
        network.trace.note(.shutDown, number, Int(descriptor), 0)
        connection.shutDown(side, at: time, &network.random)
    }

    package func reset(_ descriptor: Int32) {
        if case .connection(let connection, let side) = object(descriptor, "reset") {
            connection.breakOff(side, at: time, &network.random)
        }
        close(descriptor)
    }

    package func close(_ descriptor: Int32) {
        let object = object(descriptor, "close")
        if watches.contains(where: { $0.descriptor == descriptor }) {
            network.violated("\(name) closes descriptor \(descriptor) while watching it")
            unwatch(descriptor)
        }
        network.changed()
        network.trace.note(.close, number, Int(descriptor), 0)
        switch object {
        case .closed: return
        case .listener(let listener): network.remove(listener)
        case .connection(let connection, let side):
            connection.close(side, at: time, &network.random)
            network.closed(connection)
        }
        objects[Int(descriptor - first)] = .closed
        openDescriptorCount -= 1
    }

    // MARK: - Watching

    package func watch(_ descriptor: Int32, for interest: Interest, token: UInt64) {
        _ = object(descriptor, "watch")
        if watches.contains(where: { $0.descriptor == descriptor }) {
            network.violated("\(name) watches descriptor \(descriptor) twice")
        }
        network.changed()
        watches.append(Watch(descriptor: descriptor, interest: interest, token: token))
    }

    package func rewatch(_ descriptor: Int32, for interest: Interest, token: UInt64) {
        _ = object(descriptor, "rewatch")
        guard let index = watches.firstIndex(where: { $0.descriptor == descriptor }) else {
            network.violated("\(name) changes its watch of \(descriptor), which it doesn't watch")
            return
        }
        network.changed()
        watches[index].interest = interest
        watches[index].token = token
    }

    package func unwatch(_ descriptor: Int32) {
        guard let index = watches.firstIndex(where: { $0.descriptor == descriptor }) else {
            network.violated("\(name) unwatches \(descriptor), which it doesn't watch")
            return
        }
        network.changed()
        watches.remove(at: index)
    }

    // MARK: - Descriptors

    private func open(_ object: Object) -> Int32 {
        network.changed()
        objects.append(object)
        openDescriptorCount += 1
        return first + Int32(objects.count - 1)
    }

    private func object(_ descriptor: Int32, _ call: StaticString) -> Object {
        let index = Int(descriptor - first)
        guard objects.indices.contains(index) else {
            network.violated("\(name): \(call) of \(descriptor), which was never opened here")
            return .closed
        }
        if case .closed = objects[index] {
            network.violated("\(name): \(call) of \(descriptor), which is closed")
        }
        return objects[index]
    }
}

extension TransferResult {
    /// The result as one number, for the trace.
    fileprivate var outcome: Int {
        switch self {
        case .moved(let count): count
        case .wouldBlock: 0
        case .ended: -1
        case .failed(let code): -1_000 - Int(code)
        }
    }
}

/// What interrupts a simulated wait: the world looks at it before it lets time pass.
private final class Bell: LoopWaker {
    private let rung = Atomic<Bool>(false)

    func wake() { rung.store(true, ordering: .relaxed) }
    func clear() { rung.store(false, ordering: .relaxed) }
    var isRung: Bool { rung.load(ordering: .relaxed) }
}
