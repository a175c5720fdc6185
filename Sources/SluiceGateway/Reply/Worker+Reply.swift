import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry
import SluiceWire

// What the gateway says itself, and the one place where a request ends.
extension Worker {
    /// Gives the request up with an error in the caller's dialect.
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

    /// Answers a REST caller with a whole body.
    func reply(
        _ request: Request,
        status: Int,
        body: [UInt8],
        contentType: StaticString = "application/json",
        errorReply: ErrorReply? = nil
    ) {
        let head = blocks.take()
        head.append(status: status)
        head.append(.contentType, contentType)
        head.append(.contentLength, decimal: body.count, isVolatile: true)
        if let errorReply {
            if errorReply.allow.utf8CodeUnitCount > 0 { head.append(.allow, errorReply.allow) }
            if errorReply.retryAfterSeconds > 0 {
                head.append(.retryAfter, decimal: errorReply.retryAfterSeconds)
            }
            if errorReply.wantsKnownCoding {
                head.append(.acceptEncoding, "gzip, deflate, identity")
            }
        }
        unsafe head.append(.requestID, requestID(of: request), isVolatile: true)
        if unsafe !request.pointee.origin.isNone { unsafe decorateOrigin(head, request) }
        let exchange = unsafe request.pointee.exchange
        unsafe request.pointee.status = status
        unsafe exchange.context = nil
        let isBare = unsafe body.isEmpty || request.pointee.isHead
        exchange.sendHead(head, endStream: isBare)
        if !isBare {
            unsafe request.pointee.responseBytes = body.count
            unsafe body.withUnsafeBytes { unsafe _ = exchange.send($0, endStream: true) }
        }
        unsafe end(request)
    }

    /// Answers with what was kept or translated, in the caller's form.
    func reply(_ request: Request, _ answer: RenderedAnswer, cacheStatus: String?) {
        unsafe reply(request, answer) { head in
            if let cacheStatus { head.append(.cacheStatus, text: cacheStatus, isVolatile: true) }
        }
    }

    /// Answers with what was kept or translated, under a head that `finish` may add to.
    func reply(_ request: Request, _ answer: RenderedAnswer, _ finish: (FieldBlock) -> Void) {
        let head = unsafe answerHead(request, answer.contentType)
        if unsafe request.pointee.callerProtocol != .grpc {
            head.append(.contentLength, decimal: answer.body.count, isVolatile: true)
        }
        if answer.headerLength >= 0 {
            head.append(.inferenceHeaderContentLength, decimal: answer.headerLength)
        }
        finish(head)
        unsafe answer.body.withUnsafeBytes { unsafe finishReply(request, head, $0) }
    }

    /// The head of an answer of ours that a model gave.
    func answerHead(_ request: Request, _ contentType: StaticString) -> FieldBlock {
        let head = blocks.take()
        head.append(status: 200)
        head.append(.contentType, contentType)
        unsafe appendOrigin(of: request, to: head)
        unsafe head.append(.requestID, requestID(of: request), isVolatile: true)
        if unsafe !request.pointee.origin.isNone { unsafe decorateOrigin(head, request) }
        return head
    }

    /// Says which revision and which backend answer.
    @inline(__always)
    func appendOrigin(of request: Request, to head: FieldBlock) {
        if let revision = unsafe request.pointee.revision {
            unsafe revision._withUnsafeGuaranteedRef {
                unsafe head.append(.sluiceRevision, $0.name.bytes)
            }
        }
        if let backend = unsafe request.pointee.attempt.backend {
            unsafe backend._withUnsafeGuaranteedRef {
                unsafe head.append(.sluiceBackend, $0.label.bytes)
            }
        }
    }

    /// What trailers that say `grpc-status: 0` and nothing else are called.
    static let endName = HeadName(RevisionNames.firstAnswer - 1)

    /// Notes that a whole answer of ours with so many bytes goes out, and no backend is to be asked further.
    @inline(__always)
    func noteReply(_ request: Request, byteCount: Int) {
        unsafe request.pointee.status = 200
        if unsafe request.pointee.callerProtocol == .grpc { unsafe request.pointee.grpcStatus = 0 }
        unsafe request.pointee.reason = .ok
        unsafe request.pointee.responseBytes = byteCount
        unsafe request.pointee.exchange.context = nil
    }

    /// Sends a whole answer and ends the request.
    func finishReply(_ request: Request, _ head: FieldBlock, _ body: UnsafeRawBufferPointer) {
        let isGRPC = unsafe request.pointee.callerProtocol == .grpc
        let exchange = unsafe request.pointee.exchange
        unsafe noteReply(request, byteCount: body.count)
        exchange.sendHead(head, endStream: false)
        _ = unsafe exchange.send(body, endStream: !isGRPC)
        if isGRPC {
            let trailers = blocks.take()
            trailers.append(.grpcStatus, "0")
            trailers.repeatName = Worker.endName
            exchange.sendTrailers(trailers)
        }
        unsafe end(request)
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
            unsafe head.append(.requestID, requestID(of: request), isVolatile: true)
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

    /// The request's identifier, as given or made.
    func requestID(of request: Request) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            start: request.requestIDPlace,
            count: Int(request.pointee.requestIDCount)
        )
    }

    // MARK: - The end

    /// Lets the backend go: cancels what runs there, or what waits for a connection.
    private func abandonCall(_ request: Request) {
        unsafe forgetOffload(request)
        if unsafe request.pointee.attempt.call != nil {
            let reason = unsafe request.pointee.reason
            // Without a reason it is a copy that another has outrun.
            unsafe cancelCall(request, reason == .ok ? "hedge" : "\(reason.name)")
        } else if unsafe request.pointee.stage == .connecting,
            let backend = unsafe request.pointee.attempt.backend?._withUnsafeGuaranteedRef({ $0 })
        {
            unsafe backend.route(request.backendProtocol)?._withUnsafeGuaranteedRef {
                unsafe $0.pool.cancelWaiting(UnsafeMutableRawPointer(request))
            }
        }
        if unsafe request.existing(QueueTicket.self) != nil { unsafe leaveQueue(request) }
    }

    /// Ends a request: everything it counted up comes down, everything it owned goes back.
    func end(_ request: Request) {
        unsafe abandonCall(request)
        unsafe cancelTimer(request)
        // A client that goes on sending must not fill windows that its other requests share.
        if unsafe !request.pointee.hasRequestEnded { unsafe request.pointee.exchange.releaseBody() }
        if unsafe request.pointee.isListed {
            unsafe errorReplies[UnsafeMutableRawPointer(request)] = nil
            unsafe watchers[UnsafeMutableRawPointer(request)] = nil
        }
        if unsafe request.pointee.cacheRole != .none || request.pointee.isTranslated {
            unsafe leaveCache(request)
        }
        if unsafe request.pointee.isMirrored { unsafe leaveMirror(request) }
        unsafe account(request)
        unsafe leaveBackend(request)
        if unsafe request.pointee.retry.keepsBody || request.pointee.retry.isCounted {
            unsafe endRetries(request)
        }
        if unsafe request.pointee.attempt.triedFurther > 0 { unsafe forgetTried(request) }
        if let head = unsafe request.pointee.head { blocks.give(head) }
        if let trailers = unsafe request.pointee.body.trailers { blocks.give(trailers) }
        unsafe request.pointee.body.buffered.release(to: buffers)
        let workerSnapshot = unsafe request.pointee.workerSnapshot
        if unsafe request.pointee.isInternal {
            unsafe cacheWarmer?.ended(request)
            unsafe request.pointee.exchange.releaseHost()
        }
        unsafe requests.give(request)
        unsafe workerSnapshot._withUnsafeGuaranteedRef { requestEnded(on: $0) }
    }
}
