import SluiceEgress
import SluiceHTTP

/// Fields that are the gateway's to say, or one hop's: what comes under their names is taken out of heads and
/// trailers alike (RFC 9110 §6.5.1, §7.6).
///
/// A trailer would else say what the head mustn't: which certificate a caller has, or whose request it is.
enum GatewayFields {
    private static let ofHop = FieldNameSet(
        .connection,
        .keepAlive,
        .proxyConnection,
        .transferEncoding,
        .upgrade,
        .http2Settings
    )

    private static let ofOurAnswers = FieldNameSet(FieldName.ofOurAnswers)

    /// What a caller's head loses.
    static let ofRequests = ofHop.union(
        FieldNameSet(
            .expect,
            .forwardedProto,
            .forwardedHost,
            .host,
            .proxyAuthorization,
            .forwarded,
            .forwardedClientCert,
            .clientCert,
            .clientCertChain
        )
    )

    /// What the gateway adds to a caller's head, reads there or says itself, so that no trailer may.
    private static let ofRequestTrailers = ofRequests.union(ofOurAnswers).union(
        FieldNameSet(
            .forwardedFor,
            .via,
            .traceparent,
            .tracestate,
            .sluiceMirror,
            .grpcTimeout,
            .cacheStatus
        )
    )

    /// What a backend's head loses, and its trailers.
    static let ofAnswers = ofHop.union(ofOurAnswers).union(FieldNameSet(.proxyAuthenticate))

    /// What a backend's trailers lose.
    static let ofAnswerTrailers = ofAnswers.union(
        FieldNameSet(.sluiceMirror, .cacheStatus, .via, .contentLength)
    )

    /// Takes out of a caller's trailers what they may not say, over HTTP/1.1 and HTTP/2 alike.
    static func strip(requestTrailers trailers: FieldBlock) {
        for index in 0..<trailers.count where !trailers[index].isRemoved {
            let field = trailers[index]
            if unsafe ofRequestTrailers.contains(field.name)
                || !TrailerField.isAllowed(field.name, trailers.name(of: field))
            {
                trailers.remove(at: index)
            }
        }
    }
}

extension Worker {
    /// Ends the request to the backend with what its caller's trailers may say; where that is nothing, without any.
    ///
    /// Fields that the configuration has for the backend stand in its head in place of the caller's, and so they
    /// are no trailers either. Takes the block.
    func endCall(_ request: Request, with trailers: FieldBlock) {
        GatewayFields.strip(requestTrailers: trailers)
        unsafe request.pointee.attempt.backend?._withUnsafeGuaranteedRef {
            $0.additions?.strip(from: trailers)
        }
        guard let call = unsafe request.pointee.attempt.call, !trailers.isBare else {
            blocks.give(trailers)
            unsafe _ = request.pointee.attempt.call?.send(.empty, endStream: true)
            return
        }
        call.sendTrailers(trailers)
    }
}
