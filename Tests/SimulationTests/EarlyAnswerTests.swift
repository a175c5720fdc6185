import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceSimulation
import SluiceTelemetry
import Testing

/// A model server that answers at a request's head, whatever follows, and then ends or breaks the connection.
private final class HastyBackend {
    enum End: CaseIterable {
        /// The rest of the upload is answered by a reset.
        case closes
        case resets, lingers
    }

    private(set) var answeredCount = 0
    private var server: RawServer?

    init(loop: EventLoop, on address: SocketAddress, _ status: Int, _ end: End) throws {
        let answer =
            "HTTP/1.1 \(status) No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
        server = try RawServer(loop: loop, on: address) { [unowned self] connection in
            guard connection.answerCount == 0,
                String(decoding: connection.input, as: UTF8.self).contains("\r\n\r\n")
            else { return }
            connection.answerCount += 1
            answeredCount += 1
            connection.say(answer.utf8) {
                switch end {
                case .closes: connection.close()
                case .resets: connection.reset()
                case .lingers: connection.finish()
                }
            }
        }
    }

    func close() { server?.close() }
}

// A backend may answer before it has read the request (RFC 9112 §9.3): a guard before it that knows by the head
// that it won't serve. The caller gets that answer, and what the end of the connection does to the upload is no
// failure of its own.
@Suite("Answers before the request's end")
struct EarlyAnswerTests {
    private static let rounds = 6

    private static func run(
        _ status: Int,
        _ end: HastyBackend.End,
        uploads: [Int],
        _ check: (SingleBackendScene) throws -> Void
    ) throws {
        let scene = try SingleBackendScene(.http1)
        let backend = try HastyBackend(
            loop: scene.backend,
            on: SingleBackendScene.model,
            status,
            end
        )
        for _ in 0..<rounds {
            let size = uploads.reduce(0, +) + 100
            let peer = try RawPeer(
                loop: scene.client,
                to: SingleBackendScene.address,
                saying: Array(
                    "POST /v1/models/m:predict HTTP/1.1\r\nhost: a\r\ncontent-length: \(size)\r\n\r\n"
                        .utf8
                )
            )
            for upload in uploads {
                peer.say([UInt8](repeating: 0x20, count: upload))
                try scene.world.pass(.milliseconds(3))
            }
            try scene.world.pass(.milliseconds(200))
            #expect(peer.text.hasPrefix("HTTP/1.1 \(status) "), "\(peer.text.prefix(300))")
            #expect(peer.text.hasSuffix("\r\n\r\nno"))
            peer.close()
            try scene.world.pass(.milliseconds(5))
        }
        #expect(backend.answeredCount == rounds)
        try check(scene)
        try scene.end { backend.close() }
    }

    @Test(
        "A refusal reaches its caller and counts against no backend",
        arguments: [400, 401, 403, 413, 415],
        HastyBackend.End.allCases
    )
    fileprivate func refused(status: Int, end: HastyBackend.End) throws {
        for uploads in [[10], [100, 60_000, 60_000], [200_000]] {
            try Self.run(status, end, uploads: uploads) { scene in
                #expect(scene.load.failures == .clean && scene.load.health == .up)
                let answers = scene.store.answers.read(model: "m", revision: "v1")
                #expect(answers.failures == 0)
                #expect(scene.ledger.sum("sluice_backend_ejections_total") { _ in true } == 0)
            }
        }
    }

    @Test(
        "A failure reaches its caller as it is, and is the backend's like any other",
        arguments: [500, 503],
        HastyBackend.End.allCases
    )
    fileprivate func failed(status: Int, end: HastyBackend.End) throws {
        try Self.run(status, end, uploads: [100, 60_000]) { scene in
            #expect(scene.load.failures != .clean)
        }
    }
}
