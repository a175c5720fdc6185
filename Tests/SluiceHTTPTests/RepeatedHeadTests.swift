import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

/// Heads that are told from what came by their names; nghttp2 must read what the long way would have said.
@Suite("Heads that go on as one like them went before")
struct RepeatedHeadTests {
    /// A server of ours with an nghttp2 client, and answers as an intermediary gives them on.
    final class Line {
        let server = TestSession(.server)
        let client: NghttpPeer
        private(set) var repeatedCount = 0

        init(settings: [(UInt32, UInt32)] = []) {
            client = NghttpPeer(.client, settings: settings)
        }

        /// What a backend says, with a name that only heads with these very fields have.
        private func came(_ kind: Int, length: Int) -> FieldBlock {
            let head = server.arena.blocks.take()
            head.append(status: 200)
            head.append(.contentType, "application/json")
            head.append(.date, decimal: length)
            head.append(.server, text: "model-\(kind)")
            head.repeatName = HeadName(UInt64(1 + kind * 1_000_000 + length))
            return head
        }

        /// The changes of an intermediary, under which the head is called `use`.
        private func change(_ head: FieldBlock, _ use: Int, _ id: String) {
            if let length = head.index(of: .date) { head.markVolatile(at: length) }
            if use == 2 { head.remove(.server) }
            head.append(.sluiceBackend, text: "backend-\(use)")
            head.append(.requestID, text: id, isVolatile: true)
        }

        /// What the client hears of an answer, and what it should.
        func answers(
            _ kind: Int,
            _ use: Int,
            id: String,
            length: Int
        ) -> (heard: [HeaderField], meant: [HeaderField]) {
            let request = client.request(TestSession.get())
            exchange(server, client)
            guard let stream = server.streams[UInt32(request)] else { return ([], []) }
            let head = came(kind, length: length)
            let name = head.repeatName.used(as: UInt64(use))
            let isSent = unsafe Array(id.utf8).withUnsafeBytes { id in
                let repeated = unsafe RepeatedHead(name: name, block: head, added: id)
                return server.session.sendRepeated(repeated, endStream: true, on: stream)
            }
            if isSent {
                repeatedCount += 1
                server.arena.blocks.give(head)
            } else {
                change(head, use, id)
                #expect(head.repeatName.isNone)
                head.repeatName = name
                server.session.sendHead(head, endStream: true, on: stream)
            }
            exchange(server, client)
            server.streams[UInt32(request)] = nil
            var meant = [
                HeaderField(":status", "200"), HeaderField("content-type", "application/json"),
                HeaderField("date", "\(length)"),
            ]
            if use != 2 { meant.append(HeaderField("server", "model-\(kind)")) }
            meant.append(HeaderField("x-sluice-backend", "backend-\(use)"))
            meant.append(HeaderField("x-request-id", id))
            return (client.messages[request]?.head ?? [], meant)
        }
    }

    @Test("Any mixture is read as it was meant, and most goes the short way", arguments: 0..<8)
    func mixtures(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        let tableSize = [0, 100, 300, 4096][seed % 4]
        let line = Line(settings: [(1, UInt32(tableSize))])
        for _ in 0..<100 {
            let id = String(
                repeating: "i",
                count: [0, 1, 36, 126, 127, 128, 300][random.next(below: 7)]
            )
            let (heard, meant) = line.answers(
                random.next(below: 3),
                random.next(below: 3),
                id: id,
                length: [0, 7, 1234][random.next(below: 3)]
            )
            #expect(heard == meant)
        }
        // In a small table each answer may push its own fields out again.
        #expect(line.repeatedCount > 0 || (100...300).contains(tableSize))
        #expect(line.server.failure == nil)
        expectQuiet(line.server)
    }

    @Test("One kind of head goes the long way while it is learnt, and the short way from there on")
    func learns() {
        let line = Line()
        for round in 0..<10 {
            let (heard, meant) = line.answers(0, 1, id: "id-\(round)", length: 7)
            #expect(heard == meant)
        }
        // Once for the table, once to be kept.
        #expect(line.repeatedCount == 8)
    }

    @Test("However many names a head has, each is answered rightly")
    func manyNames() {
        let line = Line()
        // More than a table has places for, then some of them again.
        for (round, count) in [1_100, 50].enumerated() {
            for length in 0..<count {
                let (heard, meant) = line.answers(
                    0,
                    1,
                    id: "\(round)",
                    length: 1000 + length % 9000
                )
                #expect(heard == meant)
            }
        }
        #expect(line.server.failure == nil)
    }

    @Test("A block that is changed loses its name")
    func changes() {
        let arena = HTTPArena()
        let blocks = arena.blocks
        let changes: [(FieldBlock) -> Void] = [
            { $0.append(.via, "1.1 sluice") }, { $0.remove(at: 0) }, { $0.remove(.allow) },
            { $0.markVolatile(at: 0) }, { $0.removeLast() }, { $0.removeAll() },
            { block in unsafe Array("x".utf8).withUnsafeBytes { unsafe block.set(.allow, $0) } },
        ]
        for change in changes {
            let block = blocks.take()
            block.append(.allow, "GET")
            block.repeatName = HeadName(5)
            change(block)
            #expect(block.repeatName.isNone)
            blocks.give(block)
        }
        #expect(arena.blocks.liveCount == 0)
    }
}
