import Glibc
import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO
import SluiceSimulation
import Testing

@Suite("Socket files in the simulation")
struct SimulatedSocketFileTests {
    @Test(
        "Withdrawn, a file takes nothing new; its place can be another's, and what waits is accepted"
    )
    func withdrawn() throws {
        let world = World(seed: 7)
        let (server, client) = (world.makeLoop(name: "server"), world.makeLoop(name: "client"))
        let address = SocketAddress.unix(path: "/run/a.sock")
        let first = try server.kernel.listen(on: address, backlog: 1, sharesPort: false)
        #expect(throws: KernelFailure.self) {
            try server.kernel.listen(on: address, backlog: 1, sharesPort: false)
        }
        let early = try client.kernel.connect(to: address)
        try world.pass(.seconds(1))
        server.kernel.withdraw(first)
        let late = try client.kernel.connect(to: address)
        try world.pass(.seconds(1))
        #expect(client.kernel.connectFailure(of: late) == ECONNREFUSED)
        guard case .accepted(let accepted, let peer) = server.kernel.accept(from: first) else {
            Issue.record("the connection that waited is lost")
            return
        }
        #expect(peer.description == "unix:")
        #expect(client.kernel.connectFailure(of: early) == nil)
        let second = try server.kernel.listen(on: address, backlog: 1, sharesPort: false)
        for descriptor in [accepted, first, second] { server.kernel.close(descriptor) }
        for descriptor in [early, late] { client.kernel.close(descriptor) }
        #expect(world.network.openDescriptorCount == 0 && world.network.violations.isEmpty)
    }

    /// A pool that wants three connections, at a file whose queue holds two.
    private final class Crowd {
        let world = World(seed: 5)
        let server: (loop: EventLoop, kernel: SimulatedKernel)
        let listener: Int32
        let caller: Caller
        let pool: ConnectionPool
        var outcomes: [String?] = []

        init() throws {
            let address = SocketAddress.unix(path: "/run/a.sock")
            server = world.makeLoop(name: "server")
            listener = try server.kernel.listen(on: address, backlog: 1, sharesPort: false)
            let loop = world.makeLoop(name: "client").loop
            let arena = HTTPArena(buffers: loop.buffers)
            caller = Caller(arena: arena)
            let endpoint = Endpoint(
                address: address,
                httpVersion: .http1,
                tls: nil,
                serverName: "a"
            )
            pool = ConnectionPool(loop: loop, arena: arena, endpoint: endpoint, receiver: caller)
            pool.connectOutcome = { [unowned self] in outcomes.append($0) }
            world.tickAll()
            for number in 1...3 { caller.call(number, by: pool) }
        }

        func close(_ accepted: [Int32]) throws {
            pool.closeAll()
            for descriptor in accepted + [listener] { server.kernel.close(descriptor) }
            world.tickAll()
            try world.pass(.seconds(2))
            #expect(world.network.openDescriptorCount == 0 && world.network.violations.isEmpty)
        }
    }

    @Test("A full queue is waited at, as over TCP")
    func crowded() throws {
        let crowd = try Crowd()
        try crowd.world.pass(.milliseconds(500))
        #expect(crowd.outcomes == [nil, nil])
        var accepted: [Int32] = []
        while case .accepted(let one, _) = crowd.server.kernel.accept(from: crowd.listener) {
            accepted.append(one)
        }
        #expect(accepted.count == 2)
        try crowd.world.pass(.milliseconds(100))
        #expect(crowd.outcomes == [nil, nil, nil])
        if case .accepted(let one, _) = crowd.server.kernel.accept(from: crowd.listener) {
            accepted.append(one)
        }
        try crowd.close(accepted)
    }

    @Test("A queue that stays full fails when connecting has taken as long as it may")
    func full() throws {
        let crowd = try Crowd()
        try crowd.world.pass(.milliseconds(990))
        #expect(crowd.outcomes == [nil, nil])
        try crowd.world.pass(.milliseconds(30))
        #expect(crowd.outcomes.count == 3 && crowd.outcomes.last.flatMap { $0 } != nil)
        try crowd.close([])
    }

    @Test("Loops that share a queue take turns at it")
    func turns() throws {
        let world = World(seed: 3)
        let address = SocketAddress.unix(path: "/run/a.sock")
        var counts = [0, 0, 0]
        var listeners: [TCPListener] = []
        for place in 0..<3 {
            let loop = world.makeLoop(name: "worker-\(place)").loop
            let listener = try TCPListener(loop: loop, address: address, sharesPort: true) {
                descriptor,
                _ in
                counts[place] += 1
                loop.kernel.close(descriptor)
                return true
            }
            listener.start()
            #expect(listener.address == address)
            listeners.append(listener)
        }
        let client = world.makeLoop(name: "client").kernel
        let connections = try (0..<60).map { _ in try client.connect(to: address) }
        try world.pass(.seconds(1))
        #expect(counts.reduce(0, +) == 60 && counts.allSatisfy { $0 > 0 })
        for connection in connections { client.close(connection) }
        for listener in listeners { listener.close() }
        world.tickAll()
        #expect(world.network.openDescriptorCount == 0 && world.network.violations.isEmpty)
    }
}
