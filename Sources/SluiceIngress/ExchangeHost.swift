import SluiceHTTP

/// Whom an ``Exchange`` belongs to: a client's connection, or nobody.
///
/// This class itself is nobody: what is said to it is taken and forgotten. A request of our own,
/// such as one that refreshes a cached answer, has it at its end.
@safe
package class ExchangeHost {
    let arena: HTTPArena
    /// The handler's word for the one exchange of a host without streams.
    var context: UnsafeMutableRawPointer?

    init(arena: HTTPArena) {
        self.arena = arena
        unsafe context = nil
    }

    // MARK: - Who is there

    /// The client's address without its port, as text; valid while the host lives.
    var clientBytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
    /// Whether it came over TLS.
    var isSecure: Bool { false }
    /// Whether TLS 1.3 protects it; with TLS 1.2 or none, false.
    var isTLS13: Bool { false }
    /// Whose certificate mutual TLS has verified, as `x-forwarded-client-cert` says it.
    var clientIdentity: UnsafeRawBufferPointer? { nil }
    /// `limits.maxHeaderBytes`.
    var maxHeaderBytes: Int { .max }
    /// `limits.bodyTimeout`, in nanoseconds.
    var bodyTimeout: Int64 { .max }
    /// Whether the client of the one exchange sends its body only when it has been told to continue.
    var expectsContinue: Bool { false }
    /// Which other origins' web pages may read its answers; nil where the question doesn't arise.
    var crossOrigin: CrossOriginPolicy? { nil }

    // MARK: - What exchanges ask for

    func sendHead(_ head: FieldBlock, endStream: Bool, on stream: HTTP2Stream?) {
        arena.blocks.give(head)
    }

    func send(_ bytes: UnsafeRawBufferPointer, endStream: Bool, on stream: HTTP2Stream?) -> Int {
        bytes.count
    }

    func sendTrailers(_ trailers: FieldBlock, on stream: HTTP2Stream?) {
        arena.blocks.give(trailers)
    }

    func sendRepeated(_ answer: RepeatedAnswer, on stream: HTTP2Stream?) -> Bool { false }
    func sendRepeated(_ head: RepeatedHead, endStream: Bool, on stream: HTTP2Stream?) -> Bool {
        false
    }

    func upcomingBody(of stream: HTTP2Stream?) -> UnsafeRawBufferPointer? { nil }
    func hasWholeBody(of stream: HTTP2Stream?) -> Bool { true }
    func consumed(_ count: Int, by stream: HTTP2Stream?) {}
    func releaseBody(of stream: HTTP2Stream?) {}
    func sendContinue(on stream: HTTP2Stream?) {}
    func abort(_ stream: HTTP2Stream?, _ code: HTTP2ErrorCode) {}
}
