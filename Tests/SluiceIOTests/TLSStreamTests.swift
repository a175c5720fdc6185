import Foundation
import SluiceCore
import SluiceIO
import SluiceSimulation
import SluiceTLS
import Testing

@Suite("TLS over a connection")
struct TLSStreamTests {
    private static let address = SocketAddress.loopback(port: 443)

    /// A certificate made for this run, by OpenSSL's own command.
    private static let files: (certificate: String, key: String) = {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "sluice-io-\(ProcessInfo.processInfo.processIdentifier)"
        )
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let files = (folder.appending(path: "c.pem").path, folder.appending(path: "k.pem").path)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-out", files.0, "-keyout", files.1,
        ]
        process.standardError = FileHandle.nullDevice
        try? process.run()
        process.waitUntilExit()
        return files
    }()

    /// A server on one loop that takes one connection, and a client's loop.
    private final class Scene {
        let world: World
        let client: EventLoop
        let server = NotingHandler()
        private(set) var accepted: TCPStream?
        private var listener: TCPListener?

        init(seed: UInt64 = 1, _ plan: FaultPlan = FaultPlan()) throws {
            world = World(seed: seed)
            world.network.use(plan, for: TLSStreamTests.address)
            let loop = world.makeLoop(name: "server").loop
            client = world.makeLoop(name: "client").loop
            let context = try TLSServerContext(
                certificateFile: TLSStreamTests.files.certificate,
                keyFile: TLSStreamTests.files.key,
                clientCAFile: nil
            )
            listener = try TCPListener(
                loop: loop,
                address: TLSStreamTests.address,
                sharesPort: false
            ) { [unowned self] descriptor, peer in
                let stream = TCPStream(
                    loop: loop,
                    accepted: descriptor,
                    peer: peer,
                    tls: context.makeSession()
                )
                accepted = stream
                stream.handler = server
                stream.start()
                return true
            }
            listener?.start()
        }

        func connect(_ handler: NotingHandler, name: String?) throws -> TCPStream {
            let session = try name.map {
                try TLSClientContext(
                    caFile: TLSStreamTests.files.certificate,
                    certificateFile: nil,
                    keyFile: nil,
                    skipsVerification: false,
                    protocols: [.http2]
                ).makeSession(serverName: $0)
            }
            let stream = try TCPStream(
                loop: client,
                connectingTo: TLSStreamTests.address,
                tls: session
            )
            stream.handler = handler
            stream.start()
            return stream
        }

        /// Closes what is left; whether nothing is.
        func end(_ stream: TCPStream) throws -> Bool {
            stream.close()
            accepted?.close()
            listener?.close()
            listener = nil
            world.tickAll()
            try world.pass(.seconds(2))
            return world.network.openDescriptorCount == 0 && world.network.violations.isEmpty
                && client.timerCount == 0
        }
    }

    private static func bytes(_ heard: [String]) -> Int {
        heard.compactMap { $0.hasPrefix("received ") ? Int($0.dropFirst(9)) : nil }.reduce(0, +)
    }

    @Test(
        "What is said before the handshake is done arrives behind it, however the bytes are cut",
        arguments: 1...8 as ClosedRange<UInt64>
    )
    func early(seed: UInt64) throws {
        var plan = FaultPlan()
        (plan.shortRead, plan.shortWrite, plan.spurious) = (700, 700, 100)
        plan.buffer = 64...4_096
        let scene = try Scene(seed: seed, plan)
        let handler = NotingHandler(saying: String(repeating: "a", count: 50_000))
        let stream = try scene.connect(handler, name: "localhost")
        stream.scheduleFlush()
        try scene.world.run(until: scene.world.clock.now + .seconds(60), "the bytes") {
            Self.bytes(scene.server.heard) == 50_000
        }
        #expect(scene.server.heard.first == "opened" && handler.heard == ["opened"])
        #expect(handler.output.isEmpty && stream.tls?.negotiatedProtocol == .http2)
        #expect(try scene.end(stream))
    }

    @Test("Finishing says goodbye by TLS: the peer hears an end, not a break")
    func goodbye() throws {
        let scene = try Scene()
        let handler = NotingHandler(saying: "last words")
        let stream = try scene.connect(handler, name: "localhost")
        try scene.world.pass(.milliseconds(50))
        stream.finish(progressTimeout: .seconds(5))
        try scene.world.pass(.milliseconds(50))
        #expect(scene.server.heard == ["opened", "received 10", "ended"])
        #expect(try scene.end(stream))
    }

    @Test("A server with the wrong name is refused before a byte is said to it")
    func wrongName() throws {
        let scene = try Scene()
        let handler = NotingHandler(saying: "secret")
        let stream = try scene.connect(handler, name: "elsewhere.example")
        try scene.world.pass(.milliseconds(50))
        #expect(handler.heard.count == 1 && handler.heard[0].contains("hostname mismatch"))
        #expect(stream.isClosed && handler.output.count == 6)
        // The alert tells the server why, which has not spoken to a handler yet.
        #expect(!scene.server.heard.contains { $0.hasPrefix("received") })
        #expect(scene.server.heard.last?.hasPrefix("failed: TLS failed") == true)
        #expect(try scene.end(stream))
    }

    @Test(
        "A client that speaks in the clear fails the handshake and is closed, heard by no handler"
    )
    func clear() throws {
        let scene = try Scene()
        let handler = NotingHandler(saying: "GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        let stream = try scene.connect(handler, name: nil)
        try scene.world.pass(.milliseconds(50))
        #expect(scene.server.heard.count == 1)
        #expect(scene.server.heard[0].hasPrefix("failed: TLS failed"))
        #expect(scene.accepted?.isClosed == true)
        #expect(handler.heard == ["opened", "ended"])
        #expect(try scene.end(stream))
    }

    @Test("A client that leaves in the middle of its first message aborts the handshake")
    func leaves() throws {
        let scene = try Scene()
        // The header of a record of 512 bytes, and one of them.
        let handler = NotingHandler()
        handler.output = [22, 3, 1, 2, 0, 1]
        let stream = try scene.connect(handler, name: nil)
        try scene.world.pass(.milliseconds(50))
        #expect(scene.server.heard.isEmpty)
        stream.close()
        try scene.world.pass(.milliseconds(50))
        #expect(scene.server.heard == ["failed: \(StreamFailure.handshakeAborted)"])
        #expect(scene.accepted?.isClosed == true)
        #expect(try scene.end(stream))
    }

    @Test("A client that says nothing holds no handler: the stream neither opens nor fails")
    func silent() throws {
        let scene = try Scene()
        let stream = try scene.connect(NotingHandler(), name: nil)
        try scene.world.pass(.seconds(60))
        #expect(scene.server.heard.isEmpty && scene.accepted?.isClosed == false)
        #expect(try scene.end(stream))
    }

    @Test("A record that was changed on its way fails the stream")
    func tampered() throws {
        let scene = try Scene()
        let stream = try scene.connect(NotingHandler(), name: "localhost")
        try scene.world.pass(.milliseconds(50))
        #expect(scene.server.heard == ["opened"])
        let server = try #require(scene.accepted?.tls)
        // An application data record that no key made (RFC 8446 §5.2).
        let forged: [UInt8] = [23, 3, 3, 0, 24] + [UInt8](repeating: 0x5A, count: 24)
        #expect(throws: TLSFailure.self) {
            try unsafe forged.withUnsafeBytes { try unsafe server.receive($0) }
            var memory = [UInt8](repeating: 0, count: 64)
            _ = try unsafe memory.withUnsafeMutableBytes { try unsafe server.read(into: $0) }
        }
        #expect(try scene.end(stream))
    }
}
