// What strangers can send, and what must be true of whatever they send.
//
// Each surface takes any bytes at all. A crash, a hang and memory without bound are findings wherever
// they happen; besides, each checks something of its own: that cutting the bytes changes nothing, that
// what was read can be written and read again, that somebody else's implementation agrees.
//
//     libFuzzer ──bytes──▶ Tests/fuzz ──▶ Surface.check ──▶ the room's package surface
//     Tests/fixtures/fuzz ──corpus──▶ FuzzTests ──▶ Surface.check

/// What is wrong, in words.
package struct Finding: Error, CustomStringConvertible {
    /// The sentence.
    package let description: String

    /// A finding.
    package init(_ description: String) { self.description = description }
}

/// A place where bytes of strangers come in.
package enum Surface: String, CaseIterable, Sendable, CustomStringConvertible {
    case http1, http2, hpack, tls, grpc, yaml
    case grpcTimeout = "grpc-timeout"
    case traceparent, json, protobuf, binary, redis, inflate

    /// Its name, as the command line and the corpora have it.
    package var description: String { rawValue }

    /// The longest input worth trying.
    package var lengthMaximum: Int {
        switch self {
        case .grpcTimeout: 16
        case .traceparent: 80
        case .hpack, .json, .grpc, .redis: 256
        case .http1, .http2, .protobuf, .binary, .yaml, .inflate: 512
        case .tls: 768
        }
    }

    /// Plays `bytes` to the surface; throws what is wrong with what came of it.
    ///
    /// `bytes` should end where memory ends, as in ``GuardedText``: then a read beyond them is seen.
    package func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        switch self {
        case .http1: try unsafe HTTP1Surface.check(bytes)
        case .http2: try unsafe HTTP2Surface.check(bytes)
        case .hpack: try unsafe HPACKSurface.check(bytes)
        case .tls: try unsafe TLSSurface.check(bytes)
        case .grpc: try unsafe GRPCSurface.check(bytes)
        case .yaml: try unsafe YAMLSurface.check(bytes)
        case .grpcTimeout: try unsafe TimeoutSurface.check(bytes)
        case .traceparent: try unsafe TraceparentSurface.check(bytes)
        case .json: try unsafe JSONSurface.check(bytes)
        case .protobuf: try unsafe MessageSurface.protobuf(bytes)
        case .binary: try unsafe MessageSurface.binary(bytes)
        case .redis: try unsafe RedisSurface.check(bytes)
        case .inflate: try unsafe InflateSurface.check(bytes)
        }
    }
}

/// Throws a finding unless `condition` holds.
@inline(__always)
func expect(_ condition: Bool, _ sentence: @autoclosure () -> String) throws(Finding) {
    if !condition { throw Finding(sentence()) }
}
