import Glibc
import SluiceCore
import SluiceIO
import Testing

@Suite("A connection on one loop")
struct TCPStreamTests {
    private static let peer = SocketAddress.loopback(port: 80)
    private let kernel = ScriptedKernel()
    private let loop: EventLoop

    init() { loop = EventLoop(kernel: kernel) }

    private func accepted(_ handler: NotingHandler) -> TCPStream {
        let stream = TCPStream(loop: loop, accepted: 5, peer: Self.peer, tls: nil)
        stream.handler = handler
        stream.start()
        return stream
    }

    private func connecting(_ handler: NotingHandler) throws -> TCPStream {
        let stream = try TCPStream(loop: loop, connectingTo: Self.peer, tls: nil)
        stream.handler = handler
        stream.start()
        return stream
    }

    private func pass(_ duration: Duration) {
        kernel.time = kernel.time + duration
        loop.tick(until: nil)
    }

    // MARK: - Writing

    @Test("All that is said in one tick leaves in one write")
    func oneWrite() {
        let handler = NotingHandler()
        let stream = accepted(handler)
        for text in ["one ", "two ", "three"] {
            handler.output += Array(text.utf8)
            stream.scheduleFlush()
        }
        #expect(kernel.written == [])
        loop.tick(until: nil)
        #expect(kernel.written == ["one two three"] && kernel.watched[5] == .read)
    }

    @Test("After a short write it waits for room, and goes on where it stopped", arguments: 1..<11)
    func shortWrite(taken: Int) {
        let handler = NotingHandler(saying: "0123456789")
        let stream = accepted(handler)
        kernel.writes = [taken]
        stream.scheduleFlush()
        loop.tick(until: nil)
        let isAll = taken == 10
        #expect(kernel.watched[5] == (isAll ? .read : [.read, .write]))
        #expect((stream.blockedSince == nil) == isAll)
        kernel.report(5, writable: true)
        loop.tick(until: nil)
        #expect(kernel.written.joined() == "0123456789" && handler.output.isEmpty)
        #expect(kernel.watched[5] == .read && stream.blockedSince == nil)
    }

    @Test("Since when it is blocked is kept while a slow peer takes a little at a time")
    func blockedSince() {
        let handler = NotingHandler(saying: "0123456789")
        let stream = accepted(handler)
        kernel.writes = [nil, 2, nil]
        stream.scheduleFlush()
        loop.tick(until: nil)
        let since = kernel.time
        #expect(stream.blockedSince == since)
        pass(.seconds(3))
        kernel.report(5, writable: true)
        loop.tick(until: nil)
        #expect(stream.blockedSince == since && stream.lastProgress == since + .seconds(3))
        kernel.report(5, writable: true)
        pass(.seconds(4))
        #expect(stream.blockedSince == since && stream.lastProgress == since + .seconds(3))
        kernel.report(5, writable: true)
        loop.tick(until: nil)
        #expect(stream.blockedSince == nil && kernel.written == ["01", "23456789"])
        // Told when it began, and only then: nothing else might ever happen on the stream.
        #expect(handler.blockedCount == 1)
    }

    @Test("A handler that says more once its bytes have gone is heard in the same tick")
    func moreBehind() {
        let handler = NotingHandler(saying: "head")
        let stream = accepted(handler)
        var rest = ["body", "end"]
        handler.onWrote = { if !rest.isEmpty { handler.output += Array(rest.removeFirst().utf8) } }
        stream.scheduleFlush()
        loop.tick(until: nil)
        #expect(kernel.written == ["head", "body", "end"])
    }

    @Test("A write that finds the peer gone fails the stream, once, and closes it")
    func brokenWrite() {
        let handler = NotingHandler(saying: "late")
        let stream = accepted(handler)
        kernel.writes = [-Int(EPIPE)]
        stream.scheduleFlush()
        loop.tick(until: nil)
        #expect(handler.heard == ["opened", "failed: \(StreamFailure.transfer(EPIPE))"])
        #expect(stream.isClosed && kernel.deeds == ["close 5"] && loop.descriptorCount == 0)
        stream.scheduleFlush()
        stream.close()
        loop.tick(until: nil)
        #expect(kernel.deeds == ["close 5"] && handler.heard.count == 2)
    }

    @Test("What a server said before it closed is still heard where writing to it fails")
    func lastWords() throws {
        let handler = NotingHandler()
        let stream = try connecting(handler)
        kernel.report(5, writable: true)
        loop.tick(until: nil)
        handler.output = Array("request".utf8)
        kernel.writes = [-Int(EPIPE)]
        kernel.reads = [.moved(17), .moved(3), .failed(ECONNRESET)]
        stream.scheduleFlush()
        loop.tick(until: nil)
        #expect(
            handler.heard == [
                "opened", "received 17", "received 3",
                "failed: \(StreamFailure.transfer(ECONNRESET))",
            ]
        )
    }

    // MARK: - Reading

    @Test("Pausing reads takes the interest away at the tick's end, resuming brings it back")
    func pressure() {
        let handler = NotingHandler()
        let stream = accepted(handler)
        stream.setReading(false)
        loop.tick(until: nil)
        #expect(kernel.watched[5] == [])
        stream.setReading(true)
        stream.setReading(false)
        stream.setReading(true)
        loop.tick(until: nil)
        #expect(kernel.watched[5] == .read)
    }

    @Test("One read a tick: a fast peer doesn't keep the loop from others")
    func oneRead() {
        let handler = NotingHandler()
        _ = accepted(handler)
        kernel.reads = [.moved(10), .moved(20)]
        kernel.report(5, readable: true)
        loop.tick(until: nil)
        #expect(handler.heard == ["opened", "received 10"])
    }

    @Test("A handler that closes its stream while bytes come hears nothing further")
    func closedWhileReading() {
        let handler = NotingHandler()
        let stream = accepted(handler)
        handler.onReceive = { stream.close() }
        kernel.reads = [.moved(10), .ended]
        kernel.report(5, readable: true, writable: true)
        kernel.report(5, readable: true)
        loop.tick(until: nil)
        #expect(handler.heard == ["opened", "received 10"] && kernel.deeds == ["close 5"])
    }

    @Test("The peer's end is told once, and no longer watched for")
    func peerEnds() {
        let handler = NotingHandler()
        let stream = accepted(handler)
        kernel.reads = [.ended]
        kernel.report(5, readable: true)
        loop.tick(until: nil)
        #expect(handler.heard == ["opened", "ended"] && !stream.isClosed && !stream.isQuiet)
        #expect(kernel.watched[5] == [])
        // Both directions over: nothing would ever close it.
        kernel.report(5, broken: true)
        loop.tick(until: nil)
        #expect(handler.heard.count == 3 && stream.isClosed)
    }

    // MARK: - Connecting

    @Test("A refused connection is told by its errno; nothing is read or written")
    func refused() throws {
        let handler = NotingHandler(saying: "hello")
        let stream = try connecting(handler)
        #expect(kernel.watched[5] == .write)
        kernel.connectResult = ECONNREFUSED
        kernel.report(5, writable: true, broken: true)
        loop.tick(until: nil)
        #expect(handler.heard == ["failed: \(StreamFailure.connect(ECONNREFUSED))"])
        #expect(stream.isClosed && kernel.written == [])
    }

    @Test("What is said before the connection stands goes out when it does, not before")
    func early() throws {
        let handler = NotingHandler(saying: "hello")
        let stream = try connecting(handler)
        stream.scheduleFlush()
        loop.tick(until: nil)
        #expect(kernel.written == [])
        kernel.report(5, writable: true)
        loop.tick(until: nil)
        #expect(handler.heard == ["opened"] && kernel.written == ["hello"])
    }

    // MARK: - Ending

    @Test("A stream that is closed before it was started touches no other's place in the loop")
    func closedUnstarted() throws {
        let handler = NotingHandler()
        let other = accepted(handler)
        let stream = TCPStream(loop: loop, accepted: 6, peer: Self.peer, tls: nil)
        stream.handler = NotingHandler()
        stream.close()
        #expect(kernel.deeds == ["close 6"] && loop.descriptorCount == 1)
        kernel.reads = [.moved(4)]
        kernel.report(5, readable: true)
        loop.tick(until: nil)
        #expect(handler.heard == ["opened", "received 4"] && !other.isClosed)
    }

    @Test("Finishing writes all, shuts down, drops what still comes, and closes at the peer's end")
    func finishes() {
        let handler = NotingHandler(saying: "0123456789")
        let stream = accepted(handler)
        kernel.writes = [4]
        stream.finish(progressTimeout: .seconds(30))
        loop.tick(until: nil)
        #expect(kernel.deeds == [])
        kernel.report(5, writable: true)
        loop.tick(until: nil)
        #expect(kernel.written.joined() == "0123456789" && kernel.deeds == ["shutdown 5"])
        kernel.reads = [.moved(100)]
        kernel.report(5, readable: true)
        loop.tick(until: nil)
        kernel.reads = [.ended]
        kernel.report(5, readable: true)
        loop.tick(until: nil)
        #expect(kernel.deeds == ["shutdown 5", "close 5"] && handler.heard == ["opened"])
        #expect(loop.timerCount == 0)
    }

    @Test("A finished stream lingers for one second for a peer that never ends")
    func lingers() {
        let stream = accepted(NotingHandler(saying: "bye"))
        stream.finish(progressTimeout: .seconds(30))
        loop.tick(until: nil)
        #expect(kernel.deeds == ["shutdown 5"])
        pass(.milliseconds(900))
        #expect(!stream.isClosed)
        pass(.milliseconds(200))
        #expect(kernel.deeds == ["shutdown 5", "close 5"] && loop.timerCount == 0)
    }

    @Test("Last words wait for a peer that takes some, and are given up on one that takes nothing")
    func progress() {
        let stream = accepted(NotingHandler(saying: "0123456789"))
        kernel.writes = [2, 2, nil, nil, nil]
        stream.finish(progressTimeout: .seconds(10))
        loop.tick(until: nil)
        pass(.seconds(9))
        kernel.report(5, writable: true)
        loop.tick(until: nil)
        pass(.seconds(9))
        #expect(!stream.isClosed && kernel.written == ["01", "23"])
        pass(.seconds(2))
        #expect(stream.isClosed && kernel.deeds == ["close 5"] && loop.timerCount == 0)
    }

    @Test("A reset is one, and an ordinary close isn't")
    func resets() {
        let handler = NotingHandler(saying: "part")
        let stream = accepted(handler)
        stream.reset()
        loop.tick(until: nil)
        #expect(kernel.deeds == ["reset 5"] && kernel.written == [])
        #expect(handler.heard == ["opened"] && stream.handler == nil)
    }
}
