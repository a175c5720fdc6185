import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceSimulation
import SluiceTelemetry
import Testing

@Suite("Clients that ask whether to send their body")
struct ExpectationTests {
    @Test("A request that is refused is so at once, and its body never asked for")
    func refusedAtOnce() throws {
        let world = World(seed: 1)
        let address = SocketAddress.loopback(port: 80)
        let count = ConnectionCount(maximum: 10)
        let worker = Worker(
            loop: world.makeLoop(name: "gateway").loop,
            number: 0,
            shared: .simulated(connectionCount: count)
        )
        _ = try worker.listen(on: address, name: "main", tls: nil, limits: IngressLimits())
        let head =
            "POST /v1/models/nobody:predict HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
        let peer = try RawPeer(
            loop: world.makeLoop(name: "client").loop,
            to: address,
            saying: Array(head.utf8)
        )
        try world.pass(.seconds(1))
        #expect(peer.text.hasPrefix("HTTP/1.1 404 "))
        #expect(peer.isOver && worker.openWork == 0)
        peer.close()
        worker.closeAll()
        world.tickAll()
        try world.pass(.seconds(2))
        #expect(world.network.openDescriptorCount == 0)
    }
}
