/// The field names the gateway has an opinion about, folded to lower case and numbered.
///
/// A received name is looked up once; from there on everyone compares one byte.
public enum FieldName: UInt8, BitwiseCopyable, Sendable {
    /// A name that nothing here depends on; its text travels with the field.
    case other
    case method
    case scheme
    case authority
    case path
    case status
    case extendedProtocol
    case connection
    case keepAlive
    case proxyConnection
    case transferEncoding
    case upgrade
    case http2Settings
    case transferCodings
    case trailer
    case host
    case contentLength
    case contentType
    case contentEncoding
    case expect
    case cookie
    case via
    case forwardedFor
    case forwardedProto
    case forwardedHost
    case forwarded
    case grpcStatus
    case grpcMessage
    case grpcTimeout
    case grpcEncoding
    case grpcAcceptEncoding
    case grpcStatusDetailsBin
    case cacheControl
    case cacheStatus
    case requestID
    case traceparent
    case tracestate
    case sluiceRevision
    case sluiceBackend
    case accept
    case acceptEncoding
    case userAgent
    case date
    case server
    case allow
    case retryAfter
    case authorization
    case location
    case inferenceHeaderContentLength
    case meshModelID
    case meshVirtualModelID
    case proxyAuthenticate
    case proxyAuthorization
    case sluiceMirror
    case forwardedClientCert
    case clientCert
    case clientCertChain

    /// Whether this is one of HTTP/2's pseudo-header fields (RFC 9113 §8.3).
    @inlinable
    public var isPseudo: Bool { isBetween(.method, .extendedProtocol) }

    /// Whether an intermediary must not pass this field on (RFC 9110 §7.6.1, RFC 9113 §8.2.2).
    ///
    /// `te` is handled apart: HTTP/2 allows `te: trailers`.
    @inlinable
    public var isHopByHop: Bool { isBetween(.connection, .http2Settings) }

    /// Fields of answers that are the gateway's alone to say, in the order in which pages are told of them.
    ///
    /// A backend's are taken out of its heads and trailers, callers may not say them in trailers, and pages of
    /// other origins may read them.
    package static let ofOurAnswers: [FieldName] = [.requestID, .sluiceRevision, .sluiceBackend]

    /// The name's bit in a set of names; ``other`` has one as well.
    @inlinable
    @inline(__always)
    public var bit: UInt64 { 1 &<< UInt64(rawValue) }

    @inlinable
    func isBetween(_ first: FieldName, _ last: FieldName) -> Bool {
        rawValue >= first.rawValue && rawValue <= last.rawValue
    }

    /// The name as it goes on the wire, in lower case; empty for ``other``.
    public var text: StaticString {
        switch self {
        case .other: ""
        case .method: ":method"
        case .scheme: ":scheme"
        case .authority: ":authority"
        case .path: ":path"
        case .status: ":status"
        case .extendedProtocol: ":protocol"
        case .connection: "connection"
        case .keepAlive: "keep-alive"
        case .proxyConnection: "proxy-connection"
        case .transferEncoding: "transfer-encoding"
        case .upgrade: "upgrade"
        case .http2Settings: "http2-settings"
        case .transferCodings: "te"
        case .trailer: "trailer"
        case .host: "host"
        case .contentLength: "content-length"
        case .contentType: "content-type"
        case .contentEncoding: "content-encoding"
        case .expect: "expect"
        case .cookie: "cookie"
        case .via: "via"
        case .forwardedFor: "x-forwarded-for"
        case .forwardedProto: "x-forwarded-proto"
        case .forwardedHost: "x-forwarded-host"
        case .forwarded: "forwarded"
        case .grpcStatus: "grpc-status"
        case .grpcMessage: "grpc-message"
        case .grpcTimeout: "grpc-timeout"
        case .grpcEncoding: "grpc-encoding"
        case .grpcAcceptEncoding: "grpc-accept-encoding"
        case .grpcStatusDetailsBin: "grpc-status-details-bin"
        case .cacheControl: "cache-control"
        case .cacheStatus: "cache-status"
        case .requestID: "x-request-id"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        case .sluiceRevision: "x-sluice-revision"
        case .sluiceBackend: "x-sluice-backend"
        case .accept: "accept"
        case .acceptEncoding: "accept-encoding"
        case .userAgent: "user-agent"
        case .date: "date"
        case .server: "server"
        case .allow: "allow"
        case .retryAfter: "retry-after"
        case .authorization: "authorization"
        case .location: "location"
        case .inferenceHeaderContentLength: "inference-header-content-length"
        case .meshModelID: "mm-model-id"
        case .meshVirtualModelID: "mm-vmodel-id"
        case .proxyAuthenticate: "proxy-authenticate"
        case .proxyAuthorization: "proxy-authorization"
        case .sluiceMirror: "x-sluice-mirror"
        case .forwardedClientCert: "x-forwarded-client-cert"
        case .clientCert: "client-cert"
        case .clientCertChain: "client-cert-chain"
        }
    }

    /// The number of a lower-case name, or ``other``.
    public static func lookup(_ name: UnsafeRawBufferPointer) -> FieldName {
        switch name.count {
        case 2:
            if unsafe matches(name, "te") { return .transferCodings }
        case 3:
            if unsafe matches(name, "via") { return .via }
        case 4:
            if unsafe matches(name, "host") { return .host }
            if unsafe matches(name, "date") { return .date }
        case 5:
            if unsafe matches(name, ":path") { return .path }
            if unsafe matches(name, "allow") { return .allow }
        case 6:
            if unsafe matches(name, "expect") { return .expect }
            if unsafe matches(name, "cookie") { return .cookie }
            if unsafe matches(name, "accept") { return .accept }
            if unsafe matches(name, "server") { return .server }
        case 7:
            if unsafe matches(name, ":method") { return .method }
            if unsafe matches(name, ":scheme") { return .scheme }
            if unsafe matches(name, ":status") { return .status }
            if unsafe matches(name, "upgrade") { return .upgrade }
            if unsafe matches(name, "trailer") { return .trailer }
        case 8:
            if unsafe matches(name, "location") { return .location }
        case 9:
            if unsafe matches(name, ":protocol") { return .extendedProtocol }
            if unsafe matches(name, "forwarded") { return .forwarded }
        case 10:
            if unsafe matches(name, ":authority") { return .authority }
            if unsafe matches(name, "connection") { return .connection }
            if unsafe matches(name, "keep-alive") { return .keepAlive }
            if unsafe matches(name, "tracestate") { return .tracestate }
            if unsafe matches(name, "user-agent") { return .userAgent }
        case 11:
            if unsafe matches(name, "grpc-status") { return .grpcStatus }
            if unsafe matches(name, "traceparent") { return .traceparent }
            if unsafe matches(name, "retry-after") { return .retryAfter }
            if unsafe matches(name, "mm-model-id") { return .meshModelID }
            if unsafe matches(name, "client-cert") { return .clientCert }
        case 12:
            if unsafe matches(name, "content-type") { return .contentType }
            if unsafe matches(name, "grpc-message") { return .grpcMessage }
            if unsafe matches(name, "grpc-timeout") { return .grpcTimeout }
            if unsafe matches(name, "cache-status") { return .cacheStatus }
            if unsafe matches(name, "x-request-id") { return .requestID }
            if unsafe matches(name, "mm-vmodel-id") { return .meshVirtualModelID }
        case 13:
            if unsafe matches(name, "grpc-encoding") { return .grpcEncoding }
            if unsafe matches(name, "cache-control") { return .cacheControl }
            if unsafe matches(name, "authorization") { return .authorization }
        case 14:
            if unsafe matches(name, "http2-settings") { return .http2Settings }
            if unsafe matches(name, "content-length") { return .contentLength }
        case 15:
            if unsafe matches(name, "x-forwarded-for") { return .forwardedFor }
            if unsafe matches(name, "accept-encoding") { return .acceptEncoding }
            if unsafe matches(name, "x-sluice-mirror") { return .sluiceMirror }
        case 16:
            if unsafe matches(name, "proxy-connection") { return .proxyConnection }
            if unsafe matches(name, "content-encoding") { return .contentEncoding }
            if unsafe matches(name, "x-forwarded-host") { return .forwardedHost }
            if unsafe matches(name, "x-sluice-backend") { return .sluiceBackend }
        case 17:
            if unsafe matches(name, "transfer-encoding") { return .transferEncoding }
            if unsafe matches(name, "x-forwarded-proto") { return .forwardedProto }
            if unsafe matches(name, "x-sluice-revision") { return .sluiceRevision }
            if unsafe matches(name, "client-cert-chain") { return .clientCertChain }
        case 18:
            if unsafe matches(name, "proxy-authenticate") { return .proxyAuthenticate }
        case 19:
            if unsafe matches(name, "proxy-authorization") { return .proxyAuthorization }
        case 20:
            if unsafe matches(name, "grpc-accept-encoding") { return .grpcAcceptEncoding }
        case 23:
            if unsafe matches(name, "grpc-status-details-bin") { return .grpcStatusDetailsBin }
            if unsafe matches(name, "x-forwarded-client-cert") { return .forwardedClientCert }
        case 31:
            if unsafe matches(name, "inference-header-content-length") {
                return .inferenceHeaderContentLength
            }
        default: break
        }
        return .other
    }

    @inline(__always)
    private static func matches(_ name: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        let expected = unsafe UnsafeRawPointer(text.utf8Start)
        guard let actual = name.baseAddress else { return false }
        // The last byte tells most names of one length apart.
        let last = name.count - 1
        guard unsafe name[last] == expected.load(fromByteOffset: last, as: UInt8.self) else {
            return false
        }
        var offset = 0
        while offset + 8 <= last {
            let left = unsafe actual.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let right = unsafe expected.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            guard left == right else { return false }
            offset += 8
        }
        while offset < last {
            let left = unsafe actual.load(fromByteOffset: offset, as: UInt8.self)
            let right = unsafe expected.load(fromByteOffset: offset, as: UInt8.self)
            guard left == right else { return false }
            offset += 1
        }
        return true
    }
}
