import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceSimulation
import Testing

@Suite("A loop's share of a listening address")
struct IngressListenerTests {
    private static let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n"

    @Test("The first bytes tell HTTP/2 from HTTP/1.1, however they are cut", arguments: 0..<25)
    func protocols(cut: Int) throws {
        let scene = try IngressScene()
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        let client = try RawClient(loop: scene.client, saying: Array(preface[..<cut]))
        try scene.pass(10)
        client.say(Array(preface[cut...]) + [0, 0, 0, 4, 0, 0, 0, 0, 0])
        try scene.pass(10)
        #expect(scene.events == ["openedHTTP2"])
        #expect(try scene.end(client) == [])
    }

    @Test(
        "What begins like the preface and isn't is HTTP/1.1, with all of its bytes",
        arguments: ["PRI", "PRI * HTTP/2.0\r\n\r\nS"]
    )
    func nearlyPreface(beginning: String) throws {
        let scene = try IngressScene()
        let client = try scene.connect(beginning)
        try scene.pass(10)
        #expect(scene.events.isEmpty)
        client.say("CE / HTTP/1.1\r\nhost: a\r\n\r\n")
        try scene.pass(10)
        #expect(scene.events.first == "openedHTTP1")
        if beginning == "PRI" { #expect(scene.handler.events == ["began 1 PRICE / end"]) }
        #expect(try scene.end(client) == [])
    }

    @Test("Something else than HTTP is closed without a word; it would not understand one")
    func otherProtocol() throws {
        let scene = try IngressScene()
        let client = try scene.connect("SSH-2.0-OpenSSH_9.2\r\n")
        try scene.pass(10)
        #expect(client.hasEnded && client.input.isEmpty && scene.events.isEmpty)
        #expect(scene.count.current == 0)
        #expect(try scene.end(client) == [])
    }

    @Test("A connection that never speaks is closed after the head's time and counted")
    func silent() throws {
        let scene = try IngressScene()
        let client = try scene.connect()
        try scene.pass(9_000)
        #expect(!client.hasEnded && scene.listener.connectionCount == 1)
        try scene.pass(2_000)
        #expect(client.hasEnded && scene.abuse(.slowHead) == 1 && scene.count.current == 0)
        #expect(try scene.end(client) == [])
    }

    @Test(
        "Beyond the process's maximum connections are closed at once; a place that falls free is taken"
    )
    func full() throws {
        let scene = try IngressScene(maximum: 2)
        let clients = try (0..<3).map { _ in try scene.connect(Self.get) }
        try scene.pass(20)
        #expect(scene.events.count { $0 == "refused" } == 1 && scene.count.current == 2)
        let served = clients.filter { !$0.hasEnded }
        #expect(served.count == 2)
        served.first?.close()
        try scene.pass(20)
        let late = try scene.connect(Self.get)
        try scene.pass(20)
        #expect(!late.hasEnded && scene.count.current == 2)
        for client in clients { client.close() }
        #expect(try scene.end(late) == [])
    }

    @Test("Connections at rest make room for new ones, the longest at rest first")
    func makesRoom() throws {
        let scene = try IngressScene(maximum: 16)
        var clients: [RawClient] = []
        for number in 1...15 {
            clients.append(try scene.connect(Self.get))
            try scene.pass(20)
            if number > 1 { scene.handler.answer(number) }
        }
        try scene.pass(2_000)
        let late = try scene.connect(Self.get)
        try scene.pass(50)
        #expect(scene.events.contains("evictedIdle") && !late.hasEnded)
        // The one whose request is under way stays.
        #expect(!clients[0].hasEnded && clients[1].hasEnded)
        for client in clients { client.close() }
        #expect(try scene.end(late) == [])
    }

    @Test("While it is held nothing is accepted, and what stands ends when it rests")
    func held() throws {
        let scene = try IngressScene()
        let busy = try scene.connect(Self.get)
        try scene.pass(20)
        let resting = try scene.connect(Self.get)
        try scene.pass(20)
        scene.handler.answer(2)
        try scene.pass(20)
        scene.listener.hold(true)
        let late = try scene.connect(Self.get)
        try scene.pass(1_000)
        #expect(resting.hasEnded && !busy.hasEnded && scene.handler.events.count == 2)
        scene.handler.answer(1)
        try scene.pass(100)
        #expect(busy.hasEnded && busy.statuses == ["200"])
        scene.listener.hold(false)
        try scene.pass(100)
        #expect(scene.handler.events.last == "began 3 GET / end")
        #expect(try scene.end(busy, resting, late) == [])
    }
}

@Suite("How many connections are open")
struct ConnectionCountTests {
    private static func peer(_ host: String) throws -> SocketAddress {
        try #require(try SocketAddress.resolve(host: host, port: 1).first)
    }

    @Test("Places are taken up to the maximum and given back one by one")
    func places() {
        let count = ConnectionCount(maximum: 2)
        #expect(count.enter() && count.enter() && !count.enter() && count.current == 2)
        count.leave()
        #expect(count.enter() && !count.enter())
    }

    @Test("A place that is given back twice ends the process: the limit would be gone")
    func twice() async {
        await #expect(processExitsWith: .failure) {
            let count = ConnectionCount(maximum: 2)
            _ = count.enter()
            count.leave()
            count.leave()
        }
    }

    @Test("Addresses have places of their own and are forgotten with their last")
    func addresses() throws {
        let scene = try IngressScene(perAddress: 2)
        let clients = try (0..<3).map { _ in try scene.connect() }
        try scene.pass(20)
        #expect(scene.events == ["crowded"] && scene.count.addressCount == 1)
        #expect(scene.count.current == 2)
        for client in clients { client.close() }
        try scene.pass(20)
        #expect(scene.count.addressCount == 0 && scene.count.current == 0)
        #expect(try scene.end() == [])
    }
}
