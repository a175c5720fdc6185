import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO
import SluiceSimulation
import Testing

@Suite("A peer with several addresses")
struct AlternateAddressTests {
    private static let addresses = (1...3).map { SocketAddress.loopback(port: UInt16($0)) }

    private final class Scene {
        let world = World(seed: 1)
        let caller: Caller
        let pool: ConnectionPool
        private(set) var backend: NghttpBackend?
        var outcomes: [String?] = []

        init(answering: Int?) throws {
            if let answering {
                backend = try NghttpBackend(
                    loop: world.makeLoop(name: "backend").loop,
                    on: AlternateAddressTests.addresses[answering]
                )
            }
            let loop = world.makeLoop(name: "client").loop
            let arena = HTTPArena(buffers: loop.buffers)
            caller = Caller(arena: arena)
            var endpoint = Endpoint(
                address: AlternateAddressTests.addresses[0],
                httpVersion: .http2,
                tls: nil,
                serverName: "a"
            )
            endpoint.alternates = Array(AlternateAddressTests.addresses.dropFirst())
            pool = ConnectionPool(loop: loop, arena: arena, endpoint: endpoint, receiver: caller)
            pool.connectOutcome = { [unowned self] in outcomes.append($0) }
        }

        func call(_ number: Int) throws {
            world.tickAll()
            caller.call(number, by: pool)
            try world.pass(.seconds(1))
        }

        func close() throws {
            pool.closeAll()
            backend?.close()
            world.tickAll()
            try world.pass(.seconds(2))
            #expect(world.network.openDescriptorCount == 0 && world.network.violations.isEmpty)
        }
    }

    @Test("Whichever address answers is found", arguments: 0..<3)
    func found(answering: Int) throws {
        let scene = try Scene(answering: answering)
        try scene.call(1)
        #expect(scene.outcomes == [nil] && scene.pool.connectionCount == 1)
        try scene.close()
    }

    @Test("Where none answers, it is told what each said, once")
    func none() throws {
        let scene = try Scene(answering: nil)
        try scene.call(1)
        let reason = try #require(scene.outcomes.first ?? nil)
        #expect(scene.outcomes.count == 1)
        for address in Self.addresses { #expect(reason.contains("\(address): connect failed")) }
        try scene.close()
    }
}
