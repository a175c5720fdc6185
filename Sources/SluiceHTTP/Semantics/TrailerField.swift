import SluiceCore

/// Which fields may stand behind a body.
package enum TrailerField {
    /// Whether a field called `name` may be a trailer: nothing that frames, routes, authenticates,
    /// modifies a request, controls a response or describes the content (RFC 9110 §6.5.1).
    ///
    /// A recipient that merges trailers into the head would otherwise see a second opinion on what
    /// has long been decided.
    package static func isAllowed(_ known: FieldName, _ name: UnsafeRawBufferPointer) -> Bool {
        switch known {
        case .other: unsafe !isForbidden(name)
        case .host, .contentLength, .contentType, .contentEncoding, .transferCodings, .trailer,
            .expect, .cookie, .via, .forwarded, .forwardedFor, .forwardedProto, .forwardedHost,
            .cacheControl, .date, .location, .retryAfter, .authorization, .proxyAuthenticate,
            .proxyAuthorization, .meshModelID, .meshVirtualModelID, .inferenceHeaderContentLength,
            .forwardedClientCert, .clientCert, .clientCertChain:
            false
        default: !known.isPseudo && !known.isHopByHop
        }
    }

    private static func isForbidden(_ name: UnsafeRawBufferPointer) -> Bool {
        switch name.count {
        case 3: unsafe HTTP1Head.equal(name, "age")
        case 4: unsafe HTTP1Head.equal(name, "vary")
        case 5: unsafe HTTP1Head.equal(name, "range")
        case 6: unsafe HTTP1Head.equal(name, "pragma")
        case 7: unsafe HTTP1Head.equal(name, "expires")
        case 10: unsafe HTTP1Head.equal(name, "set-cookie")
        case 12: unsafe HTTP1Head.equal(name, "max-forwards")
        case 13: unsafe HTTP1Head.equal(name, "content-range")
        case 16: unsafe HTTP1Head.equal(name, "www-authenticate")
        default: false
        }
    }
}
