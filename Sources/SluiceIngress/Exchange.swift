package import SluiceHTTP
import SluiceIO

/// One request and its answer: a handle, dead after the events named in ``RequestHandler``.
@safe
package struct Exchange: BitwiseCopyable {
    private let holder: Unmanaged<ExchangeHost>
    let stream: HTTP2Stream?

    init(_ connection: ServerConnection, _ stream: HTTP2Stream?) {
        unsafe holder = .passUnretained(connection)
        self.stream = stream
    }

    /// An exchange with `host` at its other end, until ``releaseHost()``.
    init(owned host: ExchangeHost) {
        unsafe holder = .passRetained(host)
        stream = nil
    }

    /// An exchange with nobody at its other end, in the name of `caller`, until ``releaseHost()``.
    package static func detached(_ arena: HTTPArena, for caller: Exchange) -> Exchange {
        Exchange(owned: DetachedHost(arena: arena, for: caller))
    }

    /// An exchange with nobody at its other end, in the gateway's own name.
    package static func detached(_ arena: HTTPArena) -> Exchange {
        Exchange(owned: DetachedHost(arena: arena))
    }

    /// Ends what ``detached(_:for:)`` made.
    package func releaseHost() { unsafe holder.release() }

    /// A word for the handler; nil means that nobody waits for events.
    package var context: UnsafeMutableRawPointer? {
        get {
            if let stream { return unsafe stream.context }
            return unsafe holder._withUnsafeGuaranteedRef { unsafe $0.context }
        }
        nonmutating set {
            if let stream {
                unsafe stream.context = newValue
            } else {
                unsafe holder._withUnsafeGuaranteedRef { unsafe $0.context = newValue }
            }
        }
    }

    /// Whether it came over HTTP/2.
    package var isHTTP2: Bool { stream != nil }

    /// The client's address without its port, as text; valid while the connection lives.
    package var clientText: UnsafeRawBufferPointer {
        unsafe holder._withUnsafeGuaranteedRef { unsafe $0.clientBytes }
    }

    /// Whether it came over TLS.
    package var isSecure: Bool {
        unsafe holder._withUnsafeGuaranteedRef { $0.isSecure }
    }

    /// Whether TLS 1.3 protects it; with TLS 1.2 or none, false.
    package var isTLS13: Bool { unsafe holder._withUnsafeGuaranteedRef { $0.isTLS13 } }

    /// Whose certificate mutual TLS has verified, as `x-forwarded-client-cert` says it; nil without.
    ///
    /// Valid while the connection lives.
    package var clientIdentity: UnsafeRawBufferPointer? {
        unsafe holder._withUnsafeGuaranteedRef { unsafe $0.clientIdentity }
    }

    /// `limits.maxHeaderBytes` of where it came in.
    package var maxHeaderBytes: Int {
        unsafe holder._withUnsafeGuaranteedRef { $0.maxHeaderBytes }
    }

    /// Which other origins' web pages may read its answer; nil where the listener has no such policy.
    package var crossOrigin: CrossOriginPolicy? {
        unsafe holder._withUnsafeGuaranteedRef { $0.crossOrigin }
    }

    // A guaranteed reference saves counting it up and down.

    /// Sends an answer's head, interim or final; takes the block.
    package func sendHead(_ head: FieldBlock, endStream: Bool) {
        unsafe holder._withUnsafeGuaranteedRef {
            $0.sendHead(head, endStream: endStream, on: stream)
        }
    }

    /// Sends body bytes; returns how many moved on at once, the rest is reported later.
    package func send(_ bytes: UnsafeRawBufferPointer, endStream: Bool) -> Int {
        unsafe holder._withUnsafeGuaranteedRef {
            unsafe $0.send(bytes, endStream: endStream, on: stream)
        }
    }

    /// Ends the answer with trailers; takes the block.
    package func sendTrailers(_ trailers: FieldBlock) {
        unsafe holder._withUnsafeGuaranteedRef { $0.sendTrailers(trailers, on: stream) }
    }

    /// Sends a whole answer that only differs from an earlier one in its values and its body; false
    /// when it has to be sent the long way.
    package func sendRepeated(_ answer: RepeatedAnswer) -> Bool {
        unsafe holder._withUnsafeGuaranteedRef {
            $0.sendRepeated(answer, on: stream)
        }
    }

    /// Sends an answer's head like one that was sent before; false when it has to be sent the long way.
    ///
    /// The head as it came stays the caller's.
    package func sendRepeated(_ head: RepeatedHead, endStream: Bool) -> Bool {
        unsafe holder._withUnsafeGuaranteedRef {
            $0.sendRepeated(head, endStream: endStream, on: stream)
        }
    }

    /// The whole body of a request that has just begun, where it is known to have come.
    ///
    /// For looking ahead only: it is handed over as ever, and valid until then.
    package var upcomingBody: UnsafeRawBufferPointer? {
        unsafe holder._withUnsafeGuaranteedRef { unsafe $0.upcomingBody(of: stream) }
    }

    /// Whether the body of a request that has just begun is known to have come as a whole.
    package var hasWholeBody: Bool {
        unsafe holder._withUnsafeGuaranteedRef { $0.hasWholeBody(of: stream) }
    }

    /// `limits.bodyTimeout` of where it came in, in nanoseconds.
    package var bodyTimeout: Int64 {
        unsafe holder._withUnsafeGuaranteedRef { $0.bodyTimeout }
    }

    /// Says that all of the request's body that has come has moved on, or never will.
    ///
    /// What is yet to come is handed over as ever while there is a ``context``, and dropped after that.
    package func releaseBody() {
        unsafe holder._withUnsafeGuaranteedRef { $0.releaseBody(of: stream) }
    }

    /// Says that `count` bytes of the request's body have moved on.
    package func consumed(_ count: Int) {
        unsafe holder._withUnsafeGuaranteedRef { $0.consumed(count, by: stream) }
    }

    /// Whether the client sends its body only when it has been told to continue.
    package var expectsContinue: Bool {
        if let stream { return stream.expectsContinue }
        return unsafe holder._withUnsafeGuaranteedRef { $0.expectsContinue }
    }

    /// Answers `Expect: 100-continue`, if the request asked for that and nothing was said yet.
    package func sendContinue() {
        unsafe holder._withUnsafeGuaranteedRef { $0.sendContinue(on: stream) }
    }

    /// Ends the exchange so that the client can't take it for a complete answer.
    package func abort(_ code: HTTP2ErrorCode) {
        unsafe holder._withUnsafeGuaranteedRef { $0.abort(stream, code) }
    }
}
