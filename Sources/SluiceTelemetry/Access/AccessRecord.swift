/// One finished exchange, as the access log tells it.
///
/// Numbers and borrowed text: the text fields point into the exchange's own memory and need to
/// live only for the call that formats the line. Empty text and absent values leave their key out.
@safe
package struct AccessRecord {
    /// What the client asked in.
    package enum Interface: UInt8, Sendable {
        /// The V1 REST protocol.
        case v1
        /// The Open Inference Protocol over REST.
        case v2
        /// gRPC, whatever the service.
        case grpc
        /// Something else, such as a health check.
        case other
    }

    /// The HTTP version between client and gateway.
    package enum HTTPVersion: UInt8, Sendable {
        /// HTTP/1.1 (and 1.0).
        case http1
        /// HTTP/2.
        case http2
    }

    /// The TLS version between client and gateway.
    package enum TLSVersion: UInt8, Sendable {
        /// Clear text.
        case none
        /// TLS 1.2.
        case tls12
        /// TLS 1.3.
        case tls13
    }

    /// When the request's first byte was seen.
    package var start: WallTime
    /// From the first byte in to the last byte out, in nanoseconds.
    package var duration: Int64 = 0
    /// From the first byte in to the first byte out, in nanoseconds; nil when none went out.
    package var firstByte: Int64?
    /// How long backends were waited for, in nanoseconds; nil when none was called.
    package var backendTime: Int64?
    /// The method, a literal of ours: it is written as it stands.
    package var method = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The path's template, such as `/v2/models/{m}/infer`; never the path itself, and written as
    /// it stands.
    package var path = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// What the client asked in.
    package var interface = Interface.other
    /// The HTTP version.
    package var http = HTTPVersion.http1
    /// The model's name.
    package var model = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The revision's name.
    package var revision = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The last backend tried.
    package var backend = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// Model, revision and backend together, as ``AccessTarget`` wrote them; those are ignored then.
    package var target = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The HTTP status; 0 when the client was gone before one was sent.
    package var status: UInt16 = 0
    /// The gRPC status code; nil when the exchange wasn't gRPC.
    package var grpcStatus: UInt8?
    /// Bytes of the request's body.
    package var requestBytes: UInt64 = 0
    /// Bytes of the response's body.
    package var responseBytes: UInt64 = 0
    /// How many times a backend was tried.
    package var attempts: UInt32 = 0
    /// The value of `x-request-id`, the client's or ours.
    package var requestID = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// Whether that is ours, so that it is written as it stands.
    package var isRequestIDPlain = false
    /// The trace, or ``TraceID/none``.
    package var trace = TraceID.none
    /// The client's address.
    package var client = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The TLS version.
    package var tls = TLSVersion.none
    /// Why it ended as it did.
    package var reason = Reason.ok

    /// A record of an exchange that began at `start`, to be filled in.
    package init(start: WallTime) { self.start = start }
}
