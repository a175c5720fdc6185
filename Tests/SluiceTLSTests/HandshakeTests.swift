import Foundation
import SluiceCore
import SluiceTLS
import Testing

@Suite("TLS between two buffers")
struct HandshakeTests {
    /// A certificate made for this run, by OpenSSL's own command.
    static let files: (certificate: String, key: String) = {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "sluice-tls-\(ProcessInfo.processInfo.processIdentifier)"
        )
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let files = (folder.appending(path: "c.pem").path, folder.appending(path: "k.pem").path)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", files.0, "-keyout", files.1,
        ]
        process.standardError = FileHandle.nullDevice
        try? process.run()
        process.waitUntilExit()
        return files
    }()

    static func server(clientCA: String? = nil) throws -> TLSServerContext {
        try TLSServerContext(
            certificateFile: files.certificate,
            keyFile: files.key,
            clientCAFile: clientCA
        )
    }

    static func client(
        presents: Bool = false,
        _ protocols: [TLSApplicationProtocol] = [.http2, .http1]
    ) throws -> TLSClientContext {
        try TLSClientContext(
            caFile: files.certificate,
            certificateFile: presents ? files.certificate : nil,
            keyFile: presents ? files.key : nil,
            skipsVerification: false,
            protocols: protocols
        )
    }

    /// Moves cipher text both ways in pieces of `size` until nothing moves.
    static func pump(_ left: TLSSession, _ right: TLSSession, size: Int = .max) throws {
        let pool = BufferPool()
        var isMoving = true
        while isMoving {
            isMoving = false
            for (from, to) in [(left, right), (right, left)] {
                var bytes = ByteBuffer(pool: pool)
                from.drainOutput(into: &bytes)
                while !bytes.isEmpty {
                    isMoving = true
                    let count = min(size, bytes.count)
                    try unsafe to.receive(UnsafeRawBufferPointer(rebasing: bytes.bytes[..<count]))
                    bytes.consume(count)
                }
            }
        }
    }

    static func read(_ session: TLSSession) throws -> [UInt8] {
        var memory = [UInt8](repeating: 0, count: 1 << 21)
        let count = try unsafe memory.withUnsafeMutableBytes { try unsafe session.read(into: $0) }
        return Array(memory[..<count])
    }

    static func write(_ session: TLSSession, _ bytes: [UInt8]) throws -> Int {
        try unsafe bytes.withUnsafeBytes { try unsafe session.write($0) }
    }

    @Test(
        "They agree and talk, however the bytes are cut",
        arguments: [1, 2, 7, 100, 1460, Int.max]
    )
    func talk(size: Int) throws {
        let server = try Self.server().makeSession()
        let client = try Self.client().makeSession(serverName: "localhost")
        try client.shakeHands()
        try Self.pump(client, server, size: size)
        #expect(client.isHandshakeComplete && server.isHandshakeComplete && server.isTLS13)
        #expect(server.negotiatedProtocol == .http2 && client.negotiatedProtocol == .http2)
        let message = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(try Self.write(client, message) == message.count)
        try Self.pump(client, server, size: size)
        #expect(try Self.read(server) == message)
        server.close()
        try Self.pump(client, server, size: size)
        #expect(try Self.read(client).isEmpty && client.peerClosed)
    }

    @Test("ALPN takes h2 before http/1.1, and does without")
    func alpn() throws {
        for (offer, expected) in [
            ([.http1], .http1), ([.http1, .http2], .http2), ([], nil),
        ] as [([TLSApplicationProtocol], TLSApplicationProtocol?)] {
            let server = try Self.server().makeSession()
            let client = try Self.client(offer).makeSession(serverName: "localhost")
            try client.shakeHands()
            try Self.pump(client, server)
            #expect(server.negotiatedProtocol == expected)
        }
    }

    @Test("A certificate for another name is refused")
    func wrongName() throws {
        let server = try Self.server().makeSession()
        let client = try Self.client().makeSession(serverName: "elsewhere.example")
        try client.shakeHands()
        let failure = #expect(throws: TLSFailure.self) { try Self.pump(client, server) }
        #expect(failure?.description.contains("certificate: hostname mismatch") == true)
        #expect(!client.isHandshakeComplete)
    }

    @Test("Mutual TLS lets in who presents a certificate, and nobody else")
    func mutual() throws {
        let context = try Self.server(clientCA: Self.files.certificate)
        let server = context.makeSession()
        let client = try Self.client(presents: true).makeSession(serverName: "localhost")
        try client.shakeHands()
        try Self.pump(client, server)
        #expect(server.isHandshakeComplete)
        let identity = try #require(server.peerIdentity)
        #expect(identity.wholeMatch(of: /Hash=[0-9a-f]{64};Subject="CN=localhost"/) != nil)
        let strict = context.makeSession()
        let unmatchedName = try Self.client().makeSession(serverName: "localhost")
        try unmatchedName.shakeHands()
        #expect(throws: TLSFailure.self) { try Self.pump(unmatchedName, strict) }
        #expect(!strict.isHandshakeComplete)
    }

    @Test("The second connection resumes the first one's session")
    func resumption() throws {
        let (serverContext, clientContext) = (try Self.server(), try Self.client())
        for round in 0..<2 {
            let server = serverContext.makeSession()
            let client = clientContext.makeSession(serverName: "localhost")
            try client.shakeHands()
            try Self.pump(client, server)
            // TLS 1.3 tickets come after the handshake, with the first read.
            _ = try Self.read(client)
            #expect(server.isResumed == (round == 1))
        }
    }

    @Test("Damaged bytes end in a failure, never in a crash", arguments: 0..<200)
    func damage(seed: Int) throws {
        let server = try Self.server().makeSession()
        let client = try Self.client().makeSession(serverName: "localhost")
        try client.shakeHands()
        var first = ByteBuffer(pool: BufferPool())
        client.drainOutput(into: &first)
        var bytes = unsafe [UInt8](first.bytes)
        bytes[(seed &* 7919) % bytes.count] ^= UInt8(1 << (seed % 8))
        let failed = Result { try unsafe bytes.withUnsafeBytes { try unsafe server.receive($0) } }
        if case .failure(let error) = failed { #expect(error is TLSFailure) }
    }

    @Test("A missing file, and a key of another certificate, are named")
    func files() {
        #expect {
            try TLSServerContext(
                certificateFile: "/nowhere.pem",
                keyFile: "/nowhere.key",
                clientCAFile: nil
            )
        } throws: { "\($0)".contains("/nowhere.pem") }
    }
}
