// TLS: [mode][cuts][rest]
//
// Mode 0: the rest is what a server answers our client with. 1: a client's real hello, changed as the
// rest says: [place, two bytes][how][value] ... 2 to 8: the rest is what a client sends to our server. Above: a talk between two sessions that know each other, in which the rest is the message;
// one time in sixty-four a bit of it is changed on the way.
//
// The verdict doesn't depend on cuts, what arrives is what was sent or nothing, and what a stranger
// can make a session write stays small.
import SluiceCore
import SluiceTLS

enum TLSSurface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard bytes.count > 2 else { return }
        let rest = unsafe Array(bytes.after(2))
        let cuts = unsafe bytes[1]
        switch unsafe bytes[0] & 15 {
        case 0: try handshake(rest, cuts, isServer: false)
        case 1: try handshake(changed(TLSBench.shared.hello, rest), cuts, isServer: true)
        case 2...8: try handshake(rest, cuts, isServer: true)
        default: try talk(rest, cuts)
        }
    }

    // MARK: - Before anything is agreed

    private struct Outcome: Equatable {
        var failure: TLSFailure?
        var isComplete = false
        var heard: [UInt8] = []
    }

    private static func handshake(
        _ wire: [UInt8],
        _ cuts: UInt8,
        isServer: Bool
    ) throws(Finding) {
        let cut = try outcome(wire, cuts, isServer)
        try expect(!cut.isComplete && cut.heard.isEmpty, "a handshake without a peer")
        // A hello may cost a signature: not each one twice.
        guard cuts & 3 == 0 else { return }
        let whole = try outcome(wire, nil, isServer)
        try expect(whole == cut, "cut: \(cut), whole: \(whole)")
    }

    private static func outcome(
        _ wire: [UInt8],
        _ cuts: UInt8?,
        _ isServer: Bool
    ) throws(Finding) -> Outcome {
        let bench = TLSBench.shared
        let session =
            isServer
            ? bench.server.makeSession() : bench.client.makeSession(serverName: "localhost")
        if !isServer {
            do throws(TLSFailure) { try session.shakeHands() } catch {
                throw Finding("a client that can't begin: \(error)")
            }
        }
        var outcome = Outcome()
        outcome.failure = bench.feed(wire, cuts, to: session, hearing: &outcome.heard)
        outcome.isComplete = session.isHandshakeComplete
        var output = ByteBuffer(pool: bench.pool)
        session.drainOutput(into: &output)
        try expect(output.count <= 16 << 10, "\(output.count) bytes of output")
        return outcome
    }

    private static func changed(_ hello: [UInt8], _ edits: [UInt8]) -> [UInt8] {
        var hello = hello
        var index = 0
        while index + 4 <= edits.count, !hello.isEmpty {
            let place = (Int(edits[index]) << 8 | Int(edits[index + 1])) % hello.count
            let value = edits[index + 3]
            switch edits[index + 2] & 3 {
            case 0: hello[place] = value
            case 1: hello[place] ^= value | 1
            case 2: hello.insert(value, at: place)
            default: hello.removeSubrange(place..<min(hello.count, place + Int(value) + 1))
            }
            index += 4
        }
        return hello
    }

    // MARK: - Afterwards

    private static func talk(_ message: [UInt8], _ cuts: UInt8) throws(Finding) {
        let bench = TLSBench.shared
        let (client, server) = try bench.takePair()
        let isChanged = message.reduce(0 as UInt8, &+) & 63 == 0
        let (from, to) = cuts & 1 == 0 ? (client, server) : (server, client)
        let taken = unsafe message.withUnsafeBytes { unsafe try? from.write($0) }
        try expect(taken == message.count, "\(taken ?? -1) of \(message.count) bytes were taken")
        var record = bench.written(by: from)
        if isChanged { record[Int(cuts) % record.count] ^= 1 << (cuts & 7) }
        var heard: [UInt8] = []
        let failure = bench.feed(record, cuts, to: to, hearing: &heard)
        if isChanged {
            try expect(heard.isEmpty, "a changed record was believed: \(heard)")
        } else {
            try expect(failure == nil, "a good record is refused: \(String(describing: failure))")
            try expect(heard == message, "\(heard) arrived")
            bench.giveBack((client, server))
        }
    }
}
