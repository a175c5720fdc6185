import Foundation
import SluiceCore
import SluiceTLS

/// Certificates and sessions that many executions share, since a handshake is dear.
@safe
final class TLSBench: @unchecked Sendable {
    // Unchecked: one thread at a time plays a surface (libFuzzer has one, the corpus test one a surface).
    typealias Pair = (client: TLSSession, server: TLSSession)

    static let shared = TLSBench()

    let pool = BufferPool()
    let server: TLSServerContext
    let client: TLSClientContext
    /// What a client says first.
    private(set) var hello: [UInt8] = []
    private let plain = GuardedText(capacity: 64 << 10)
    private var pairs: [Pair] = []

    private init() {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "sluice-fuzz-\(ProcessInfo.processInfo.processIdentifier)"
        )
        let (certificate, key) = ("\(folder.path)/c.pem", "\(folder.path)/k.pem")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-out", certificate, "-keyout", key,
        ]
        process.standardError = FileHandle.nullDevice
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try process.run()
            process.waitUntilExit()
            server = try TLSServerContext(
                certificateFile: certificate,
                keyFile: key,
                clientCAFile: nil
            )
            client = try TLSClientContext(
                caFile: certificate,
                certificateFile: nil,
                keyFile: nil,
                skipsVerification: false,
                protocols: [.http2, .http1]
            )
            try? FileManager.default.removeItem(at: folder)
            let session = client.makeSession(serverName: "localhost")
            try session.shakeHands()
            hello = written(by: session)
        } catch {
            preconditionFailure("no certificate for the fuzzer of TLS: \(error)")
        }
    }

    /// What `session` has to send.
    func written(by session: TLSSession) -> [UInt8] {
        var output = ByteBuffer(pool: pool)
        session.drainOutput(into: &output)
        return unsafe Array(output.bytes)
    }

    /// Feeds `wire` in pieces that follow from `cuts`, or whole; returns why it was refused, if it was.
    func feed(
        _ wire: [UInt8],
        _ cuts: UInt8?,
        to session: TLSSession,
        hearing heard: inout [UInt8]
    ) -> TLSFailure? {
        var fragments = Fragments(seed: cuts ?? 1)
        var start = 0
        while start < wire.count {
            let left = wire.count - start
            let end = start + (cuts == nil ? left : fragments.nextOfFew(of: left))
            do {
                try unsafe wire[start..<end].withUnsafeBytes { try unsafe session.receive($0) }
                let count = unsafe try session.read(into: plain.memory)
                unsafe heard += plain.memory[..<count]
            } catch {
                return error as? TLSFailure
            }
            start = end
        }
        return nil
    }

    /// Two sessions that have agreed, fresh or used before.
    func takePair() throws(Finding) -> Pair {
        if let pair = pairs.popLast() { return pair }
        let pair = (client.makeSession(serverName: "localhost"), server.makeSession())
        var heard: [UInt8] = []
        do throws(TLSFailure) { try pair.0.shakeHands() } catch {
            throw Finding("no handshake: \(error)")
        }
        while true {
            let asked = written(by: pair.0)
            let answered: TLSFailure? = feed(asked, nil, to: pair.1, hearing: &heard)
            let answer = written(by: pair.1)
            let failure = answered ?? feed(answer, nil, to: pair.0, hearing: &heard)
            if let failure { throw Finding("no handshake: \(failure)") }
            if asked.isEmpty && answer.isEmpty { break }
        }
        guard pair.0.isHandshakeComplete, pair.1.isHandshakeComplete else {
            throw Finding("a handshake without an end")
        }
        return pair
    }

    /// Keeps a pair for the next talk.
    func giveBack(_ pair: Pair) { if pairs.count < 4 { pairs.append(pair) } }
}
