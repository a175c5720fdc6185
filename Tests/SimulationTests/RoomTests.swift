import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceSimulation
import SluiceTestKit
import Testing

@Suite("Room for connections")
struct RoomTests {
    private static let address = SocketAddress.loopback(port: 80)
    private static let get = Array("GET / HTTP/1.1\r\nhost: a\r\n\r\n".utf8)

    private final class Scene {
        let world = World(seed: 1)
        let count: ConnectionCount
        let server: Answerer
        let clients: EventLoop
        private var peers: [RawPeer] = []

        init(maximum: Int, perAddress: Int = 0) throws {
            count = ConnectionCount(maximum: maximum, perAddress: perAddress)
            let loop = world.makeLoop(name: "server").loop
            clients = world.makeLoop(name: "clients").loop
            server = try Answerer(loop: loop, on: RoomTests.address, delay: nil, count: count)
        }

        func connect(saying bytes: [UInt8] = RoomTests.get) throws -> RawPeer {
            world.tickAll()
            let peer = try RawPeer(loop: clients, to: RoomTests.address, saying: bytes)
            peers.append(peer)
            return peer
        }

        func end() throws -> Bool {
            for peer in peers { peer.close() }
            server.close()
            world.tickAll()
            try world.pass(.seconds(2))
            return world.network.openDescriptorCount == 0 && count.current == 0
                && count.addressCount == 0 && world.network.violations.isEmpty
        }
    }

    private static func isShed(_ event: ConnectionEvent) -> Bool {
        if case .evictedIdle = event { true } else { false }
    }

    private static func isCrowded(_ event: ConnectionEvent) -> Bool {
        if case .crowded = event { true } else { false }
    }

    @Test("An address has its connections, and the next is closed at once")
    func perAddress() throws {
        let scene = try Scene(maximum: 100, perAddress: 3)
        // One has said nothing yet: it counts from its accept.
        let silent = try scene.connect(saying: [])
        let first = (0..<2).map { _ in try? scene.connect() }
        try scene.world.pass(.milliseconds(100))
        let refused = try scene.connect()
        try scene.world.pass(.milliseconds(100))
        #expect(refused.isOver && refused.text.isEmpty)
        #expect(!silent.isOver && first.allSatisfy { $0?.text.hasSuffix("hello") == true })
        #expect(scene.server.events.count(where: Self.isCrowded) == 1)
        #expect(scene.count.current == 3 && scene.count.addressCount == 1)
        // A place that falls free is the next one's.
        silent.close()
        try scene.world.pass(.milliseconds(100))
        let next = try scene.connect()
        try scene.world.pass(.milliseconds(100))
        #expect(next.text.hasSuffix("hello"))
        #expect(try scene.end())
    }

    @Test("Loops share an address's places")
    func acrossLoops() throws {
        let world = World(seed: 1)
        let count = ConnectionCount(maximum: 100, perAddress: 3)
        let servers = try (0..<2).map { number in
            try Answerer(
                loop: world.makeLoop(name: "server-\(number)").loop,
                on: .loopback(port: UInt16(80 + number)),
                delay: nil,
                count: count
            )
        }
        let loop = world.makeLoop(name: "clients").loop
        let peers = try (0..<4).map { number in
            let address = SocketAddress.loopback(port: UInt16(80 + number % 2))
            return try RawPeer(loop: loop, to: address, saying: Self.get)
        }
        try world.pass(.milliseconds(100))
        #expect(peers.count(where: \.isOver) == 1)
        #expect(servers.flatMap(\.events).count(where: Self.isCrowded) == 1)
        for peer in peers { peer.close() }
        for server in servers { server.close() }
        world.tickAll()
        #expect(count.current == 0 && count.addressCount == 0)
    }

    @Test("A full house lets those go first that have rested longest")
    func oldestRestFirst() throws {
        // 15 of 16 places are the mark.
        let scene = try Scene(maximum: 32)
        var guests: [RawPeer] = []
        for _ in 0..<30 {
            guests.append(try scene.connect())
            try scene.world.pass(.milliseconds(100))
        }
        #expect(scene.server.connectionCount == 30)
        #expect(!scene.server.events.contains(where: Self.isShed))
        // The first speaks again, so the second has rested longest.
        guests[0].say(Self.get)
        try scene.world.pass(.milliseconds(100))
        let late = try scene.connect()
        try scene.world.pass(.milliseconds(100))
        #expect(late.text.hasSuffix("hello"))
        // 16 at once, so that not every arrival has to look through them all.
        #expect(guests.indices.filter { guests[$0].isOver } == Array(1...16))
        #expect(scene.server.events.count(where: Self.isShed) == 16)
        #expect(scene.server.connectionCount == 15)
        #expect(try scene.end())
    }

    @Test("Who was in use a moment ago, or has a request under way, keeps its place")
    func busyStay() throws {
        let scene = try Scene(maximum: 16)
        let head = Array("GET / HTTP/1.1\r\nhost".utf8)
        let sending = try scene.connect(saying: Self.get + head)
        try scene.world.pass(.seconds(2))
        let fresh = try (0..<15).map { _ in try scene.connect() }
        try scene.world.pass(.milliseconds(100))
        let refused = try scene.connect()
        try scene.world.pass(.milliseconds(100))
        #expect(refused.isOver && refused.text.isEmpty)
        #expect(!sending.isOver && !fresh.contains { $0.isOver })
        #expect(!scene.server.events.contains(where: Self.isShed))
        #expect(try scene.end())
    }

    @Test("An HTTP/2 client is told by GOAWAY")
    func http2() throws {
        let scene = try Scene(maximum: 16)
        let client = NghttpPeer(.client)
        client.request([
            HeaderField(":method", "GET"), HeaderField(":scheme", "http"),
            HeaderField(":authority", "a"), HeaderField(":path", "/"),
        ])
        let guest = try scene.connect(saying: client.takeOutput())
        try scene.world.pass(.milliseconds(100))
        let heard = guest.input.count
        client.receive(guest.input)
        guest.say(client.takeOutput())
        try scene.world.pass(.seconds(2))
        for _ in 0..<15 { _ = try scene.connect() }
        try scene.world.pass(.milliseconds(100))
        #expect(guest.isOver)
        client.receive(Array(guest.input[heard...]))
        #expect(client.goAways.last == NghttpPeer.GoAway(last: 1, code: 0))
        #expect(try scene.end())
    }

    @Test(
        "Addresses are told apart as their owners are",
        arguments: [
            ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true), ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true), ("::1", "127.0.0.1", false),
        ]
    )
    func networks(one: String, other: String, isSame: Bool) throws {
        let networks = try [one, other].map {
            try SocketAddress.resolve(host: $0, port: 1).first?.network
        }
        #expect((networks[0] == networks[1]) == isSame)
        #expect(networks.allSatisfy { $0 != nil })
    }

    @Test("A Unix socket has no address to count by")
    func unixSocket() { #expect(SocketAddress.unix(path: "/s").network == nil) }
}
