import SluiceCore
import SluiceIO

/// A server on one loop that speaks enough of Redis, as well or as badly as it is told.
final class ScriptedRedis {
    /// How it answers.
    enum Manner: CaseIterable {
        case well
        /// Takes commands and says nothing.
        case silently
        /// Answers everything late.
        case slowly
        /// Ends the connection in the middle of an answer.
        case cut
        /// Bytes that aren't RESP.
        case garbage
        /// The beginning of a reply of 4 GB.
        case huge
        /// A reply too many, now and then.
        case outOfStep
        /// Another kind of reply than the command has.
        case wrongKind
        /// `-ERR` to everything but the greeting.
        case errors
        /// `-LOADING`, to the greeting as well.
        case loading
        /// A replica: reads go well.
        case readonly
        /// `-WRONGPASS` to the greeting.
        case wrongPassword
        /// Closes each connection as soon as it is there.
        case slams
        /// Cursors that never come to an end, and keys nobody asked for.
        case endlessScan
    }

    let loop: EventLoop
    private let address: SocketAddress
    private var listener: TCPListener?
    private var peers: [ObjectIdentifier: ScriptedPeer] = [:]
    fileprivate var values: [String: [UInt8]] = [:]
    var manner = Manner.well
    /// What it answers to ROLE.
    var role = "master"
    /// As a Sentinel: where masters are, by name.
    var masters: [String: (host: String, port: Int)] = [:]
    fileprivate(set) var commandCount = 0
    /// Keys it was asked to remove.
    fileprivate(set) var unlinked: Set<String> = []
    /// Reads that brought commands, over all connections.
    fileprivate(set) var batchCount = 0
    private(set) var connectionCount = 0

    init(loop: EventLoop, on address: SocketAddress) throws {
        self.loop = loop
        self.address = address
        try open()
    }

    func open() throws {
        guard listener == nil else { return }
        let listener = try TCPListener(loop: loop, address: address, sharesPort: false) {
            [weak self] descriptor, peer in
            self?.accept(descriptor, peer)
            return true
        }
        self.listener = listener
        listener.start()
    }

    /// As a process that is killed: nobody listens, every connection is gone.
    func shut() {
        listener?.close()
        listener = nil
        for peer in peers.values { peer.close() }
        peers = [:]
        values = [:]
    }

    private func accept(_ descriptor: Int32, _ peer: SocketAddress) {
        connectionCount += 1
        let stream = TCPStream(loop: loop, accepted: descriptor, peer: peer, tls: nil)
        let peer = ScriptedPeer(server: self, stream: stream)
        peers[ObjectIdentifier(peer)] = peer
        stream.handler = peer
        stream.start()
        if manner == .slams { peer.close() }
    }

    fileprivate func forget(_ peer: ScriptedPeer) { peers[ObjectIdentifier(peer)] = nil }
}

/// One connection of a ``ScriptedRedis``.
private final class ScriptedPeer: StreamHandler, TimerTarget {
    private unowned let server: ScriptedRedis
    private let stream: TCPStream
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var delayed: [UInt8] = []
    private var timer = TimerID.none
    private var endsAfterOutput = false

    init(server: ScriptedRedis, stream: TCPStream) {
        self.server = server
        self.stream = stream
    }

    func close() {
        server.loop.cancelTimer(&timer)
        stream.close()
        server.forget(self)
    }

    func streamOpened(_ stream: TCPStream) {}

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        unsafe input.append(contentsOf: bytes)
        server.batchCount += 1
        while let command = takeCommand() {
            server.commandCount += 1
            answer(command)
        }
        if !output.isEmpty { stream.scheduleFlush() }
    }

    func streamEnded() { close() }
    func streamFailed(_ failure: StreamFailure) { close() }

    var streamOutput: UnsafeRawBufferPointer {
        // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
        unsafe output.withUnsafeBytes { unsafe $0 }
    }

    func streamWrote(_ count: Int) {
        output.removeFirst(count)
        if output.isEmpty, endsAfterOutput { close() }
    }

    func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        output += delayed
        delayed = []
        stream.scheduleFlush()
    }

    // MARK: - Commands

    /// The next whole command: an array of bulk strings.
    private func takeCommand() -> [[UInt8]]? {
        var place = 0
        func number(_ mark: UInt8) -> Int? {
            guard let end = input[place...].firstIndex(of: 0x0D), end + 1 < input.count else {
                return nil
            }
            precondition(input[place] == mark, "the connection speaks no RESP")
            defer { place = end + 2 }
            return Int(String(decoding: input[(place + 1)..<end], as: UTF8.self))
        }
        guard let count = number(0x2A) else { return nil }
        var parts: [[UInt8]] = []
        for _ in 0..<count {
            guard let size = number(0x24), place + size + 2 <= input.count else { return nil }
            parts.append(Array(input[place..<(place + size)]))
            place += size + 2
        }
        input.removeFirst(place)
        return parts
    }

    private func answer(_ command: [[UInt8]]) {
        let name = String(decoding: command[0], as: UTF8.self)
        let isGreeting = name == "PING"
        var reply = rightReply(name, command.dropFirst().map { $0 })
        switch server.manner {
        case .well, .slams: break
        case .silently: return
        case .slowly:
            delayed += reply
            if timer == .none {
                timer = server.loop.setTimer(after: .milliseconds(90), target: self, tag: 0)
            }
            return
        case .cut where !isGreeting:
            reply = Array(reply.prefix(reply.count / 2))
            endsAfterOutput = true
        case .garbage where !isGreeting: reply = Array("HTTP/1.1 400 Bad Request\r\n".utf8)
        case .huge where !isGreeting: reply = Array("$4294967296\r\n".utf8) + [0, 1, 2]
        case .outOfStep where !isGreeting: reply += reply
        case .wrongKind where !isGreeting: reply = Array(":12\r\n".utf8)
        case .errors where !isGreeting: reply = Array("-ERR no\r\n".utf8)
        case .readonly where name == "SET": reply = Array("-READONLY replica\r\n".utf8)
        case .wrongPassword: reply = Array("-WRONGPASS no\r\n".utf8)
        case .loading: reply = Array("-LOADING wait\r\n".utf8)
        case .endlessScan where name == "SCAN":
            let keys = "*2\r\n$3\r\nabc\r\n$5\r\nother\r\n"
            reply = Array("*2\r\n$1\r\n7\r\n\(keys)".utf8)
        case .endlessScan where name == "UNLINK":
            reply = Array(":9223372036854775807\r\n".utf8)
        default: break
        }
        output += reply
    }

    private func rightReply(_ name: String, _ arguments: [[UInt8]]) -> [UInt8] {
        let keys = arguments.map { String(decoding: $0, as: UTF8.self) }
        switch name {
        case "GET": return bulk(server.values[keys[0]])
        case "MGET":
            return Array("*\(keys.count)\r\n".utf8) + keys.flatMap { bulk(server.values[$0]) }
        case "SET":
            server.values[keys[0]] = arguments[1]
            return Array("+OK\r\n".utf8)
        case "UNLINK":
            server.unlinked.formUnion(keys)
            let count = keys.filter { server.values.removeValue(forKey: $0) != nil }.count
            return Array(":\(count)\r\n".utf8)
        case "SCAN":
            // Pages by order; the cursor is the place.
            let all = server.values.keys.sorted()
            let start = Int(keys[0]) ?? 0
            let end = min(start + 3, all.count)
            let found = all[min(start, end)..<end].filter { $0.hasPrefix(keys[2].dropLast()) }
            let cursor = end == all.count ? "0" : String(end)
            return Array("*2\r\n".utf8) + bulk(Array(cursor.utf8))
                + Array("*\(found.count)\r\n".utf8) + found.flatMap { bulk(Array($0.utf8)) }
        case "ROLE":
            return Array("*3\r\n".utf8) + bulk(Array(server.role.utf8)) + Array(":0\r\n*0\r\n".utf8)
        case "SENTINEL":
            guard let master = server.masters[keys[1]] else { return Array("*-1\r\n".utf8) }
            return Array("*2\r\n".utf8) + bulk(Array(master.host.utf8))
                + bulk(Array(String(master.port).utf8))
        case "AUTH", "SELECT": return Array("+OK\r\n".utf8)
        default: return Array("+PONG\r\n".utf8)
        }
    }

    private func bulk(_ value: [UInt8]?) -> [UInt8] {
        guard let value else { return Array("$-1\r\n".utf8) }
        return Array("$\(value.count)\r\n".utf8) + value + Array("\r\n".utf8)
    }
}
