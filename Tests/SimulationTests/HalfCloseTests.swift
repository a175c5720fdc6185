import SluiceCore
import SluiceIO
import SluiceSimulation
import Testing

@Suite("Clients that close their sending side")
struct HalfCloseTests {
    /// What a client says before its FIN, and how many answers it still gets behind all of it.
    struct Saying: Sendable, CustomTestStringConvertible {
        let name: String
        let text: String
        let answers: Int
        var testDescription: String { name }
    }

    private static let kept = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n"
    private static let last = "GET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    private static let posted =
        "POST / HTTP/1.1\r\nhost: a\r\nConnection: Close\r\ncontent-length: 5\r\n\r\nhello"
    private static let chunked =
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n"

    static let sayings = [
        Saying(name: "close, with a body", text: posted, answers: 1),
        Saying(name: "close, in chunks", text: chunked, answers: 1),
        Saying(name: "close, without a body", text: last, answers: 1),
        Saying(name: "HTTP/1.0", text: "GET / HTTP/1.0\r\n\r\n", answers: 1),
        Saying(
            name: "HTTP/1.0, to be kept",
            text: "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
            answers: 1
        ),
        Saying(name: "to be kept", text: kept, answers: 0),
        Saying(name: "two at once, the second the last", text: kept + last, answers: 2),
        Saying(name: "two at once, both to be kept", text: kept + kept, answers: 1),
    ]

    @Test("Only a FIN behind a whole request that is the last gets its answer", arguments: sayings)
    func everyCut(saying: Saying) throws {
        let bytes = Array(saying.text.utf8)
        for cut in 0...bytes.count {
            for pause in [Duration.zero, .milliseconds(1)] {
                let answers = try play(Array(bytes[..<cut]), pause)
                // In front of its end a request is no whole one; behind a first that is, the FIN
                // waits for its answer.
                var wanted = cut == bytes.count ? saying.answers : 0
                if saying.text.hasPrefix(HalfCloseTests.kept),
                    cut > HalfCloseTests.kept.utf8.count, cut < bytes.count
                {
                    wanted = 1
                }
                #expect(answers == wanted, "FIN behind byte \(cut), after \(pause)")
            }
        }
    }

    /// How many answers a client gets that says `bytes` and, after `pause`, that it is through.
    private func play(_ bytes: [UInt8], _ pause: Duration) throws -> Int {
        let world = World(seed: 1)
        let address = SocketAddress.loopback(port: 80)
        let server = try Answerer(
            loop: world.makeLoop(name: "server").loop,
            on: address,
            delay: .milliseconds(20)
        )
        let kernel = world.makeLoop(name: "client").kernel
        let descriptor = try kernel.connect(to: address)
        try world.pass(.milliseconds(5))
        try #require(kernel.connectFailure(of: descriptor) == nil)
        if !bytes.isEmpty {
            let result = unsafe bytes.withUnsafeBytes { unsafe kernel.write(descriptor, $0) }
            guard case .moved(bytes.count) = result else { throw Unwritten() }
        }
        if pause > .zero { try world.pass(pause) }
        kernel.shutdownWrite(descriptor)
        try world.pass(.milliseconds(200))
        var heard: [UInt8] = []
        var memory = [UInt8](repeating: 0, count: 4096)
        var hasEnded = false
        reading: while true {
            switch unsafe memory.withUnsafeMutableBytes({ unsafe kernel.read(descriptor, into: $0) }
            )
            {
            case .moved(let count): heard += memory[..<count]
            case .ended, .failed:
                hasEnded = true
                break reading
            case .wouldBlock: break reading
            }
        }
        #expect(hasEnded && server.connectionCount == 0, "the connection is over either way")
        kernel.close(descriptor)
        server.close()
        world.tickAll()
        try world.pass(.seconds(2))
        #expect(world.network.openDescriptorCount == 0 && world.network.violations.isEmpty)
        return String(decoding: heard, as: UTF8.self).components(of: "hello")
    }

    private struct Unwritten: Error {}
}

extension String {
    /// How often `part` stands in it.
    fileprivate func components(of part: String) -> Int {
        var (count, rest) = (0, Substring(self))
        while let range = rest.firstRange(of: part) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
