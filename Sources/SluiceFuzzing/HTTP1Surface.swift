// HTTP/1.1: [flags][cuts][what comes over the line]
//
// Flags: 1 we are the client, 2 the connection is secure, 4 the peer then closes its side, 8 heads of
// the first pass are remembered for the second, 16 we ask by HEAD, 32 by POST.
//
// Cutting must change nothing. And what a server's session took for one request must still be that
// one request after a client's session has written it anew: the very thing that smuggling breaks.
import SluiceCore
import SluiceHTTP

enum HTTP1Surface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard bytes.count > 2 else { return }
        let flags = unsafe bytes[0]
        let wire = unsafe bytes.after(2)
        let arena = HTTPArena()
        let isClient = flags & 1 != 0
        let whole = Listener(isClient, flags, arena)
        whole.relay = isClient ? nil : Relay(isSecure: flags & 2 != 0)
        whole.begin()
        unsafe whole.receive(wire)
        let cut = Listener(isClient, flags, flags & 8 != 0 ? arena : HTTPArena())
        cut.begin()
        var fragments = unsafe Fragments(seed: bytes[1])
        try unsafe fragments.each(of: wire) { fragment in
            unsafe cut.receive(fragment)
            return true
        }
        if flags & 4 != 0 {
            whole.receiveEnd()
            cut.receiveEnd()
        }
        try expect(
            whole.transcript == cut.transcript,
            "cut: \(cut.transcript.text), whole: \(whole.transcript.text)"
        )
        try expect(
            whole.outputCount <= 4096 + 64 * wire.count,
            "\(whole.outputCount) bytes of output"
        )
        if let finding = whole.relay?.finding { throw Finding(finding) }
        whole.end()
        cut.end()
        try expect(arena.blocks.liveCount == 0, "\(arena.blocks.liveCount) blocks were lost")
    }

    /// A session with an owner that answers, or asks.
    final class Listener {
        private let arena: HTTPArena
        private let role: HTTP1Session.Role
        private var session: HTTP1Session?
        private(set) var transcript = Transcript()
        private let method: String
        var relay: Relay?

        init(_ isClient: Bool, _ flags: UInt8, _ arena: HTTPArena) {
            self.arena = arena
            role = isClient ? .client : .server
            method = flags & 16 != 0 ? "HEAD" : flags & 32 != 0 ? "POST" : "GET"
            session = HTTP1Session(
                role: role,
                arena: arena,
                maxHeadBytes: 1024,
                isSecure: flags & 2 != 0
            )
        }

        var outputCount: Int { session?.output.count ?? 0 }

        func begin() {
            if role == .client { ask() }
        }

        /// Once: whether there is still input decides whether a client may ask again.
        private func ask() {
            let block = arena.blocks.take()
            block.append(named: ":method", text: method)
            block.append(named: ":scheme", text: "http")
            block.append(named: ":authority", text: "a.example")
            block.append(named: ":path", text: "/")
            session?.sendRequest(block, endStream: true)
        }

        func receive(_ bytes: UnsafeRawBufferPointer) {
            unsafe session?.receive(bytes)
            pump()
        }

        func receiveEnd() {
            do throws(HTTP1Failure) { try session?.receiveEnd() } catch { note(error) }
            pump()
        }

        /// Gives back what the session holds.
        func end() { session = nil }

        private func pump() {
            do throws(HTTP1Failure) {
                while let event = try session?.nextEvent() ?? nil { take(event) }
            } catch {
                note(error)
            }
        }

        private func note(_ failure: HTTP1Failure) {
            transcript.note("!", UInt32(failure.status))
        }

        private func take(_ event: HTTP1Event) {
            switch event {
            case .head(let block, let endStream):
                transcript.note("h")
                note(block)
                relay?.head(block, endStream)
                arena.blocks.give(block)
                if endStream { finish() }
            case .interim(let block):
                transcript.note("i")
                note(block)
                arena.blocks.give(block)
            case .data(let bytes, let endStream):
                unsafe transcript.fragment(bytes)
                unsafe relay?.body(bytes, endStream)
                if endStream { finish() }
            case .trailers(let block):
                transcript.note("t")
                note(block)
                relay?.trailers(block)
                arena.blocks.give(block)
                finish()
            case .drained: break
            }
        }

        private func finish() {
            transcript.note("e")
            if role == .server {
                let block = arena.blocks.take()
                block.append(named: ":status", text: "200")
                session?.sendHead(block, endStream: true)
            }
        }

        private func note(_ block: FieldBlock) { transcript.add(block) }
    }

    /// Writes each request anew for a next server, which must hear the same one.
    final class Relay {
        private let isSecure: Bool
        private let arena = HTTPArena()
        private var client: HTTP1Session?
        private var head = Transcript()
        private var sent: [UInt8] = []
        var finding: String?

        init(isSecure: Bool) { self.isSecure = isSecure }

        func head(_ block: FieldBlock, _ endStream: Bool) {
            var session = HTTP1Session(role: .client, arena: arena)
            // HTTP/1.0 may go without a host, and is written with an empty one (RFC 9112 §3.2), which
            // our own servers refuse.
            guard block.index(of: .authority) != nil else { return }
            head = Transcript()
            head.addEndToEnd(block)
            sent = []
            session.sendRequest(arena.copy(block), endStream: endStream)
            client = consume session
            if endStream { finish() }
        }

        func body(_ bytes: UnsafeRawBufferPointer, _ endStream: Bool) {
            unsafe sent.append(contentsOf: bytes)
            _ = unsafe client?.send(bytes, endStream: endStream)
            if endStream { finish() }
        }

        func trailers(_ block: FieldBlock) {
            client?.sendTrailers(arena.copy(block))
            finish()
        }

        private func finish() {
            guard var client = client.take() else { return }
            // A head that can't be written is refused, which is well.
            do throws(HTTP1Failure) { while try client.nextEvent() != nil {} } catch { return }
            var server = HTTP1Session(role: .server, arena: arena, isSecure: isSecure)
            unsafe server.receive(client.output.bytes)
            var (heads, ends): (Int, Int) = (0, 0)
            var body: [UInt8] = []
            do throws(HTTP1Failure) {
                while let event = try server.nextEvent() {
                    switch event {
                    case .head(let block, let endStream):
                        heads += 1
                        ends += endStream ? 1 : 0
                        var second = Transcript()
                        second.addEndToEnd(block)
                        if second != head {
                            finding = "relayed as \(second.text), not \(head.text)"
                        }
                        arena.blocks.give(block)
                    case .data(let bytes, let endStream):
                        unsafe body.append(contentsOf: bytes)
                        ends += endStream ? 1 : 0
                    case .trailers(let block):
                        arena.blocks.give(block)
                        ends += 1
                    case .interim(let block): arena.blocks.give(block)
                    case .drained: break
                    }
                }
            } catch {
                finding = "what was relayed is refused: \(error.sentence)"
            }
            if finding == nil, heads != 1 || ends != 1 || body != sent || !server.isQuiet {
                finding = "relayed as \(heads) heads, \(ends) ends, \(body.count) bytes"
            }
        }
    }
}

extension HTTP1Session {
    /// Whether nothing of a further message has come.
    fileprivate var isQuiet: Bool { mutating get { wantsInput && !isReceivingHead } }
}

extension Transcript {
    /// The fields of `block`.
    mutating func add(_ block: FieldBlock) {
        for index in 0..<block.count where !block[index].isRemoved {
            unsafe add(block.name(of: block[index]))
            unsafe add(block.value(of: block[index]))
        }
    }

    /// The fields of `block` that travel on as they are.
    mutating func addEndToEnd(_ block: FieldBlock) {
        for index in 0..<block.count where !block[index].isRemoved {
            switch block[index].name {
            case .contentLength, .connection, .transferCodings, .expect, .cookie: continue
            default: break
            }
            unsafe add(block.name(of: block[index]))
            unsafe add(block.value(of: block[index]))
        }
    }
}

extension HTTPArena {
    /// A block of this arena with the fields of `block`.
    func copy(_ block: FieldBlock) -> FieldBlock {
        let copy = blocks.take()
        for index in 0..<block.count where !block[index].isRemoved {
            unsafe copy.append(
                name: block.name(of: block[index]),
                value: block.value(of: block[index])
            )
        }
        return copy
    }
}
