import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceSimulation
import SluiceTelemetry
import SluiceTestKit
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

    private static let pseudo = [
        HeaderField(":method", "POST"), HeaderField(":scheme", "http"),
        HeaderField(":authority", "a"),
        HeaderField(":path", "/inference.GRPCInferenceService/ModelInfer"),
        HeaderField("content-type", "application/grpc"),
    ]

    /// The same frames, but that no HEADERS end their stream.
    private static func unended(_ output: [UInt8]) -> [UInt8] {
        var output = output
        // Behind the client's preface of 24 bytes (RFC 9113 §3.4).
        var place = 24
        while place + 9 <= output.count {
            let length = output[place..<place + 3].reduce(0) { $0 << 8 | Int($1) }
            if output[place + 3] == 1 { output[place + 4] &= ~1 }
            place += 9 + length
        }
        return output
    }

    @Test(
        "Over HTTP/2 a stream is told to continue where its body is needed, and no other",
        arguments: [("100-continue", "100"), ("100-Continue", "100"), ("200-ok", "417"), ("", "-")]
    )
    func http2(expectation: String, first: String) throws {
        let world = World(seed: 1)
        let address = SocketAddress.loopback(port: 80)
        let worker = Worker(
            loop: world.makeLoop(name: "gateway").loop,
            number: 0,
            shared: .simulated()
        )
        _ = try worker.listen(on: address, name: "main", tls: nil, limits: IngressLimits())
        let client = NghttpPeer(.client)
        var fields = Self.pseudo
        if !expectation.isEmpty { fields.append(HeaderField("expect", expectation)) }
        let stream = client.request(fields)
        let peer = try RawPeer(
            loop: world.makeLoop(name: "client").loop,
            to: address,
            saying: Self.unended(client.takeOutput())
        )
        try world.pass(.milliseconds(100))
        client.receive(peer.input)
        let message = client.messages[stream]
        let heard = (message?.interims ?? []) + (message.map { [$0.head] } ?? [])
        let statuses = heard.compactMap { $0.first { $0.name == ":status" }?.value }
        #expect(statuses == (first == "-" ? [] : [first]))
        peer.close()
        worker.closeAll()
        world.tickAll()
        try world.pass(.seconds(2))
        #expect(world.network.openDescriptorCount == 0)
    }
}
