package import SluiceHTTP
import SluiceIO

/// One request and its answer: a handle, dead after the events named in ``RequestHandler``.
@safe
package struct Exchange: BitwiseCopyable {
    private let holder: Unmanaged<ServerConnection>
    let stream: HTTP2Stream?

    init(_ connection: ServerConnection, _ stream: HTTP2Stream?) {
        unsafe holder = .passUnretained(connection)
        self.stream = stream
    }

    /// The connection it came by.
    package var connection: ServerConnection { unsafe holder._withUnsafeGuaranteedRef { $0 } }

    /// A word for the handler; nil means that nobody waits for events.
    package var user: UnsafeMutableRawPointer? {
        get { unsafe connection.user(of: stream) }
        nonmutating set { unsafe connection.setUser(newValue, of: stream) }
    }

    /// Whether it came over HTTP/2.
    package var isHTTP2: Bool { stream != nil }

    /// Sends an answer's head, interim or final; takes the block.
    package func sendHead(_ head: FieldBlock, endStream: Bool) {
        connection.sendHead(head, endStream: endStream, on: stream)
    }

    /// Sends body bytes; returns how many moved on at once, the rest is reported later.
    package func send(_ bytes: UnsafeRawBufferPointer, endStream: Bool) -> Int {
        unsafe connection.send(bytes, endStream: endStream, on: stream)
    }

    /// Ends the answer with trailers; takes the block.
    package func sendTrailers(_ trailers: FieldBlock) {
        connection.sendTrailers(trailers, on: stream)
    }

    /// Says that `count` bytes of the request's body have moved on.
    package func consumed(_ count: Int) { connection.consumed(count, by: stream) }

    /// Whether the client sends its body only when it has been told to continue.
    package var expectsContinue: Bool { connection.expectsContinue }

    /// Answers `Expect: 100-continue`, if the request asked for that.
    package func sendContinue() { connection.sendContinue(on: stream) }

    /// Ends the exchange so that the client can't take it for a complete answer.
    package func abort(_ code: HTTP2ErrorCode) { connection.abort(stream, code) }
}
