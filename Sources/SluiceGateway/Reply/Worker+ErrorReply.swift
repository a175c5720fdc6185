import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry
import SluiceWire

// What a request that failed is told, in its caller's protocol.
extension Worker {
    /// Gives the request up with an error in the caller's protocol.
    ///
    /// Over HTTP/1.1 the reply waits until the client has sent its body (or a lot of it, or for
    /// ``errorReplyLinger``): an answer in the middle of a request costs the connection. A client that asked whether to send it at
    /// all (`Expect: 100-continue`) needn't.
    func replyWithError(_ request: Request, _ errorReply: ErrorReply) {
        if unsafe request.pointee.reason == .ok {
            unsafe request.pointee.reason = errorReply.reason
        }
        unsafe abandonCall(request)
        if errorReply.http >= 500, unsafe !request.pointee.hasResponseBegun,
            unsafe serveStaleIfError(request)
        {
            return
        }
        if unsafe request.pointee.hasResponseBegun {
            unsafe broken(
                request,
                errorReply.sentence,
                reason: errorReply.reason,
                status: errorReply.grpc
            )
            return
        }
        var sentence = errorReply.sentence
        if errorReply.reason == .noRoute, errorReply.sentence.hasPrefix("unknown model"),
            let known = workerSnapshot.knownNames
        {
            sentence += known.isEmpty ? "; none is configured" : "; known: \(known)"
        }
        unsafe errorReplies[UnsafeMutableRawPointer(request)] = ErrorReply(
            http: errorReply.http,
            grpc: errorReply.grpc,
            reason: errorReply.reason,
            sentence: sentence,
            allow: errorReply.allow,
            retryAfterSeconds: errorReply.retryAfterSeconds,
            wantsKnownCoding: errorReply.wantsKnownCoding
        )
        unsafe request.pointee.isListed = true
        unsafe request.pointee.stage = .failing
        if unsafe request.pointee.exchange.isHTTP2 || request.pointee.hasRequestEnded
            || errorReply.reason == .tooLarge || errorReply.reason == .timeout
            || request.pointee.exchange.expectsContinue
        {
            unsafe sendErrorReply(request)
        } else {
            // What has come counts as taken, whether it is held here or lies before a connection that
            // is gone, so that the rest can come.
            unsafe request.pointee.body.buffered.release(to: buffers)
            unsafe request.pointee.body.acknowledged = 0
            unsafe request.pointee.exchange.releaseBody()
            unsafe setTimer(request, .linger, at: loop.now + Worker.errorReplyLinger)
        }
    }

    func sendErrorReply(_ request: Request) {
        guard
            let errorReply = unsafe errorReplies.removeValue(
                forKey: UnsafeMutableRawPointer(request)
            )
        else {
            return
        }
        if unsafe request.pointee.callerProtocol == .grpc {
            unsafe replyStatus(
                request,
                errorReply.grpc,
                errorReply.sentence,
                wantsKnownCoding: errorReply.wantsKnownCoding
            )
            return
        }
        let body = "{\"error\":\(JSONStringText.quoted(errorReply.sentence))}"
        unsafe reply(
            request,
            status: errorReply.http,
            body: Array(body.utf8),
            errorReply: errorReply
        )
    }

    /// Ends a gRPC call with a status and no message (gRPC over HTTP/2, "Trailers-Only").
    ///
    /// `wantsKnownCoding` says that the caller's message came in a coding that isn't read here.
    func replyStatus(
        _ request: Request,
        _ status: GRPCStatus,
        _ sentence: String,
        wantsKnownCoding: Bool = false
    ) {
        let exchange = unsafe request.pointee.exchange
        let head = blocks.take()
        let began = unsafe request.pointee.hasResponseBegun
        if !began {
            head.append(status: 200)
            head.append(.contentType, "application/grpc")
            unsafe head.append(.requestID, request.requestID, isVolatile: true)
        }
        if wantsKnownCoding { head.append(.grpcAcceptEncoding, "identity, deflate, gzip") }
        head.append(.grpcStatus, decimal: status.rawValue)
        if !sentence.isEmpty {
            head.append(.grpcMessage, text: StatusMessage.encode(sentence), isVolatile: true)
        }
        unsafe request.pointee.status = 200
        unsafe request.pointee.grpcStatus = status.rawValue
        unsafe exchange.context = nil
        if began { exchange.sendTrailers(head) } else { exchange.sendHead(head, endStream: true) }
        unsafe end(request)
    }
}
