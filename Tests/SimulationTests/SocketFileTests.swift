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
