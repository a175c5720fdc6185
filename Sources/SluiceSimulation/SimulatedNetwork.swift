import SluiceCore
package import SluiceIO

/// The listeners and connections of a world; kernels hold descriptors for them.
package final class SimulatedNetwork {
    /// The time.
    package let clock: VirtualClock
    /// What happened.
    package var trace = Trace()
    /// What no program may do and one did: the run has failed, whatever else is seen.
    package private(set) var violations: [String] = []
    /// Connections made so far.
    package private(set) var connectionCount = 0

    var random: RandomSource
    /// Counts everything that may change what is readable or writable where.
    private(set) var deeds = 0
    /// What the time of day is ahead of the clock; another for each world.
    var wallOffset: Int64 = 0
    private var plans: [UInt16: FaultPlan] = [:]
    private var listeners: [UInt16: [SimulatedListener]] = [:]
    private var connections: [SimulatedConnection] = []
    private var kernels: [SimulatedKernel] = []
    private var nextPort: UInt16 = 20_000
    /// Socket files stand for ports that no address names.
    private var files: [String: UInt16] = [:]
    private var withdrawnFiles = 0
    private var nextClientPort: UInt16 = 40_000

    /// A network without anybody, whose every whim follows from `seed`.
    package init(clock: VirtualClock, seed: UInt64) {
        self.clock = clock
        random = RandomSource(seed: seed)
    }

    /// A kernel for one loop; `name` is how violations call it.
    package func makeKernel(name: String) -> SimulatedKernel {
        let kernel = SimulatedKernel(network: self, number: kernels.count, name: name)
        kernels.append(kernel)
        return kernel
    }

    /// Treats connections made to `address` from now on by `plan`.
    package func use(_ plan: FaultPlan, for address: SocketAddress) {
        plans[port(of: address)] = plan
    }

    /// Open descriptors over all kernels.
    package var openDescriptorCount: Int { kernels.reduce(0) { $0 + $1.openDescriptorCount } }

    /// Notes that something may be readable or writable now that wasn't, or the reverse.
    func changed() { deeds += 1 }

    /// Notes what no program may do.
    func violated(_ sentence: String) {
        if violations.count < 20 { violations.append(sentence) }
    }

    // MARK: - What kernels ask for

    /// Where `address` is found; zero lets the network choose.
    private func port(of address: SocketAddress) -> UInt16 {
        guard address.isUnix else { return address.port }
        if let port = files[address.description] { return port }
        let port = 60_000 + UInt16(files.count + withdrawnFiles)
        files[address.description] = port
        return port
    }

    func listen(
        on address: SocketAddress,
        backlog: Int,
        sharesPort: Bool
    ) -> SimulatedListener? {
        var port = port(of: address)
        if port == 0 {
            nextPort += 1
            port = nextPort
        } else if let others = listeners[port], !others.isEmpty, !sharesPort {
            return nil
        }
        let listener = SimulatedListener(
            port: port,
            fileBacklog: address.isUnix ? backlog : nil
        )
        listeners[port, default: []].append(listener)
        return listener
    }

    /// Removes a socket's file: what waits can still be accepted, and nothing new comes.
    func withdraw(_ listener: SimulatedListener) {
        guard listener.isFile, let path = files.first(where: { $0.value == listener.port })?.key
        else { return }
        // Another listener at this path is another file. The port stays taken, as its number.
        files[path] = nil
        withdrawnFiles += 1
    }

    func remove(_ listener: SimulatedListener) {
        listeners[listener.port]?.removeAll { $0 === listener }
        for connection in listener.takeAll() {
            connection.breakOff(at: clock.now, &random)
            connection.close(1, at: clock.now, &random)
        }
        sweep()
    }

    /// Whether connecting to a socket's file fails for now, as it does when its queue is full (unix(7)).
    func isFull(_ address: SocketAddress) -> Bool {
        guard address.isUnix, let choices = listeners[port(of: address)], !choices.isEmpty else {
            return false
        }
        return choices.allSatisfy(\.isFull)
    }

    /// A connection attempt; nil when there's no way to the address at all.
    func connect(to address: SocketAddress) -> SimulatedConnection? {
        let port = port(of: address)
        let plan = plans[port] ?? FaultPlan()
        let fate = plan.fate(&random)
        guard fate.connecting != .unreachable else { return nil }
        nextClientPort &+= 1
        let connection = SimulatedConnection(
            plan: plan,
            fate: fate,
            listenerPort: port,
            clientPort: nextClientPort,
            now: clock.now,
            random: &random
        )
        connectionCount += 1
        connections.append(connection)
        let choices = listeners[port] ?? []
        if choices.isEmpty, fate.connecting == .succeeds { connection.refuse() }
        if choices.isEmpty || fate.connecting != .succeeds {
            connection.close(1, at: clock.now, &random)
        } else {
            // As the kernel does with shared ports: any of the sockets.
            let open = choices.filter { !$0.isFull }
            open[random.next(below: open.count)].add(connection)
        }
        return connection
    }

    func closed(_ connection: SimulatedConnection) { if connection.isGone { sweep() } }

    private func sweep() { connections.removeAll(where: \.isGone) }

    // MARK: - Time

    /// When something happens next without anybody's doing; nil when nothing will.
    var nextChange: Instant? {
        let now = clock.now
        var next = Instant.distantFuture
        for connection in connections { next = min(next, connection.nextChange(after: now)) }
        return next == .distantFuture ? nil : next
    }
}

/// A listening socket with the connections that wait in it.
final class SimulatedListener {
    let port: UInt16
    /// How many may wait, if it is a socket's file; over TCP more of them only wait longer.
    private let fileBacklog: Int?
    private var waiting: [SimulatedConnection] = []

    init(port: UInt16, fileBacklog: Int?) {
        self.port = port
        self.fileBacklog = fileBacklog
    }

    /// Whether it is a socket's file.
    var isFile: Bool { fileBacklog != nil }
    var isFull: Bool { fileBacklog.map { waiting.count > $0 } ?? false }

    func add(_ connection: SimulatedConnection) { waiting.append(connection) }

    func isReadable(at now: Instant) -> Bool { waiting.contains { $0.acceptable <= now } }

    var next: SimulatedConnection? { waiting.first }

    func take(at now: Instant) -> SimulatedConnection? {
        guard let index = waiting.firstIndex(where: { $0.acceptable <= now }) else { return nil }
        return waiting.remove(at: index)
    }

    func takeAll() -> [SimulatedConnection] {
        let all = waiting
        waiting = []
        return all
    }
}
