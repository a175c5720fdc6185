import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry
import SluiceWire

// What the gateway says itself, and the one place where a flow ends.
extension Worker {
    /// Gives the request up with an error in the caller's dialect.
    ///
    /// Over HTTP/1.1 the reply waits until the client has sent its body (or a lot of it, or for
    /// ``refusalLinger``): an answer in the middle of a request costs the connection. A client that asked whether to send it at
    /// all (`Expect: 100-continue`) needn't.
    func refuse(_ flow: FlowPointer, _ refusal: Refusal) {
        if unsafe flow.pointee.why == .ok { unsafe flow.pointee.why = refusal.why }
        unsafe abandonCall(flow)
        if refusal.http >= 500, unsafe !flow.pointee.hasResponseBegun, unsafe serveSpare(flow) {
            return
        }
        if unsafe flow.pointee.hasResponseBegun {
            unsafe broken(flow, refusal.sentence, why: refusal.why, status: refusal.grpc)
            return
        }
        var sentence = refusal.sentence
        if refusal.why == .noRoute, refusal.sentence.hasPrefix("unknown model"),
            let known = replica.knownNames
        {
            sentence += known.isEmpty ? "; none is configured" : "; known: \(known)"
        }
        unsafe refusals[UnsafeMutableRawPointer(flow)] = Refusal(
            http: refusal.http,
            grpc: refusal.grpc,
            why: refusal.why,
            sentence: sentence,
            allow: refusal.allow,
            retryAfterSeconds: refusal.retryAfterSeconds,
            wantsKnownCoding: refusal.wantsKnownCoding
        )
        unsafe flow.pointee.isListed = true
        unsafe flow.pointee.stage = .refusing
        if unsafe flow.pointee.exchange.isHTTP2 || flow.pointee.hasRequestEnded
            || refusal.why == .tooLarge || refusal.why == .timeout
            || flow.pointee.exchange.expectsContinue
        {
            unsafe sendRefusal(flow)
        } else {
            // What has come counts as taken, whether it is held here or lies before a connection that
            // is gone, so that the rest can come.
            unsafe flow.pointee.held.release(to: buffers)
            unsafe flow.pointee.offered = UnsafeRawBufferPointer(start: nil, count: 0)
            unsafe flow.pointee.credited = 0
            unsafe flow.pointee.exchange.releaseBody()
            unsafe setTimer(flow, .linger, at: loop.now + Worker.refusalLinger)
        }
    }

    func sendRefusal(_ flow: FlowPointer) {
        guard let refusal = unsafe refusals.removeValue(forKey: UnsafeMutableRawPointer(flow))
        else {
            return
        }
        if unsafe flow.pointee.wire == .grpc {
            unsafe replyStatus(
                flow,
                refusal.grpc,
                refusal.sentence,
                wantsKnownCoding: refusal.wantsKnownCoding
            )
            return
        }
        let body = "{\"error\":\(JSONStringText.quoted(refusal.sentence))}"
        unsafe reply(flow, status: refusal.http, body: Array(body.utf8), refusal: refusal)
    }

    /// Answers a REST caller with a whole body.
    func reply(
        _ flow: FlowPointer,
        status: Int,
        body: [UInt8],
        contentType: StaticString = "application/json",
        refusal: Refusal? = nil
    ) {
        let head = blocks.take()
        head.append(status: status)
        head.append(.contentType, contentType)
        head.append(.contentLength, decimal: body.count, isVolatile: true)
        if let refusal {
            if refusal.allow.utf8CodeUnitCount > 0 { head.append(.allow, refusal.allow) }
            if refusal.retryAfterSeconds > 0 {
                head.append(.retryAfter, decimal: refusal.retryAfterSeconds)
            }
            if refusal.wantsKnownCoding { head.append(.acceptEncoding, "gzip, deflate, identity") }
        }
        unsafe head.append(.requestID, requestID(of: flow), isVolatile: true)
        if unsafe !flow.pointee.origin.isNone { unsafe decorateOrigin(head, flow) }
        let exchange = unsafe flow.pointee.exchange
        unsafe flow.pointee.status = status
        unsafe exchange.user = nil
        let isBare = unsafe body.isEmpty || flow.pointee.isHead
        exchange.sendHead(head, endStream: isBare)
        if !isBare {
            unsafe flow.pointee.responseBytes = body.count
            unsafe body.withUnsafeBytes { unsafe _ = exchange.send($0, endStream: true) }
        }
        unsafe end(flow)
    }

    /// Answers with what was kept or translated, in the caller's form.
    func reply(_ flow: FlowPointer, _ answer: RenderedAnswer, cacheStatus: String?) {
        unsafe reply(flow, answer) { head in
            if let cacheStatus { head.append(.cacheStatus, text: cacheStatus, isVolatile: true) }
        }
    }

    /// Answers with what was kept or translated, under a head that `finish` may add to.
    func reply(_ flow: FlowPointer, _ answer: RenderedAnswer, _ finish: (FieldBlock) -> Void) {
        let head = unsafe answerHead(flow, answer.contentType)
        if unsafe flow.pointee.wire != .grpc {
            head.append(.contentLength, decimal: answer.body.count, isVolatile: true)
        }
        if answer.headerLength >= 0 {
            head.append(.inferenceHeaderContentLength, decimal: answer.headerLength)
        }
        finish(head)
        unsafe answer.body.withUnsafeBytes { unsafe finishReply(flow, head, $0) }
    }

    /// The head of an answer of ours that a model gave.
    func answerHead(_ flow: FlowPointer, _ contentType: StaticString) -> FieldBlock {
        let head = blocks.take()
        head.append(status: 200)
        head.append(.contentType, contentType)
        unsafe appendOrigin(of: flow, to: head)
        unsafe head.append(.requestID, requestID(of: flow), isVolatile: true)
        if unsafe !flow.pointee.origin.isNone { unsafe decorateOrigin(head, flow) }
        return head
    }

    /// Says which revision and which backend answer.
    @inline(__always)
    func appendOrigin(of flow: FlowPointer, to head: FieldBlock) {
        if let revision = unsafe flow.pointee.revision {
            unsafe revision._withUnsafeGuaranteedRef {
                unsafe head.append(.sluiceRevision, $0.name.bytes)
            }
        }
        if let backend = unsafe flow.pointee.backend {
            unsafe backend._withUnsafeGuaranteedRef {
                unsafe head.append(.sluiceBackend, $0.label.bytes)
            }
        }
    }

    /// What trailers that say `grpc-status: 0` and nothing else are called.
    static let endName = HeadName(RevisionNames.firstAnswer - 1)

    /// Notes that a whole answer of ours with so many bytes goes out, and nobody is to be asked further.
    @inline(__always)
    func noteReply(_ flow: FlowPointer, byteCount: Int) {
        unsafe flow.pointee.status = 200
        if unsafe flow.pointee.wire == .grpc { unsafe flow.pointee.grpcStatus = 0 }
        unsafe flow.pointee.why = .ok
        unsafe flow.pointee.responseBytes = byteCount
        unsafe flow.pointee.exchange.user = nil
    }

    /// Sends a whole answer and ends the flow.
    func finishReply(_ flow: FlowPointer, _ head: FieldBlock, _ body: UnsafeRawBufferPointer) {
        let isGRPC = unsafe flow.pointee.wire == .grpc
        let exchange = unsafe flow.pointee.exchange
        unsafe noteReply(flow, byteCount: body.count)
        exchange.sendHead(head, endStream: false)
        _ = unsafe exchange.send(body, endStream: !isGRPC)
        if isGRPC {
            let trailers = blocks.take()
            trailers.append(.grpcStatus, "0")
            trailers.repeatName = Worker.endName
            exchange.sendTrailers(trailers)
        }
        unsafe end(flow)
    }

    /// Ends a gRPC call with a status and no message (gRPC over HTTP/2, "Trailers-Only").
    ///
    /// `wantsKnownCoding` says that the caller's message came in a coding that isn't read here.
    func replyStatus(
        _ flow: FlowPointer,
        _ status: GRPCStatus,
        _ sentence: String,
        wantsKnownCoding: Bool = false
    ) {
        let exchange = unsafe flow.pointee.exchange
        let head = blocks.take()
        let began = unsafe flow.pointee.hasResponseBegun
        if !began {
            head.append(status: 200)
            head.append(.contentType, "application/grpc")
            unsafe head.append(.requestID, requestID(of: flow), isVolatile: true)
        }
        if wantsKnownCoding { head.append(.grpcAcceptEncoding, "identity, deflate, gzip") }
        head.append(.grpcStatus, decimal: status.rawValue)
        if !sentence.isEmpty {
            head.append(.grpcMessage, text: StatusMessage.encode(sentence), isVolatile: true)
        }
        unsafe flow.pointee.status = 200
        unsafe flow.pointee.grpcStatus = status.rawValue
        unsafe exchange.user = nil
        if began { exchange.sendTrailers(head) } else { exchange.sendHead(head, endStream: true) }
        unsafe end(flow)
    }

    /// The request's identifier, as given or made.
    func requestID(of flow: FlowPointer) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            rebasing: flow.pointee.scratch[
                FlowScratch
                    .requestID..<(FlowScratch.requestID
                    + Int(flow.pointee.requestIDCount))
            ]
        )
    }

    // MARK: - The end

    /// Lets the backend go: cancels what runs there, or what waits for a connection.
    private func abandonCall(_ flow: FlowPointer) {
        unsafe forgetOffload(flow)
        if unsafe flow.pointee.call != nil {
            let why = unsafe flow.pointee.why
            // Without a reason it is a copy that another has outrun.
            unsafe cancelCall(flow, why == .ok ? "hedge" : "\(why.name)")
        } else if unsafe flow.pointee.stage == .connecting,
            let backend = unsafe flow.pointee.backend?._withUnsafeGuaranteedRef({ $0 })
        {
            unsafe backend.route(flow.spoken)?._withUnsafeGuaranteedRef {
                unsafe $0.pool.cancelWaiting(UnsafeMutableRawPointer(flow))
            }
        }
        if unsafe flow.pointee.place.ticket != nil { unsafe leaveLine(flow) }
    }

    /// Ends a flow: everything it counted up comes down, everything it owned goes back.
    func end(_ flow: FlowPointer) {
        unsafe abandonCall(flow)
        unsafe leaveArrivals(flow)
        if unsafe flow.pointee.timer != .none { unsafe loop.cancelTimer(&flow.pointee.timer) }
        // A client that goes on sending must not fill windows that its other requests share.
        if unsafe !flow.pointee.hasRequestEnded { unsafe flow.pointee.exchange.releaseBody() }
        if unsafe flow.pointee.isListed {
            unsafe refusals[UnsafeMutableRawPointer(flow)] = nil
            unsafe watchers[UnsafeMutableRawPointer(flow)] = nil
        }
        if unsafe flow.pointee.cache.role != .none || flow.pointee.isTranslated {
            unsafe leaveCache(flow)
        }
        if unsafe flow.pointee.mirror != nil { unsafe leaveMirror(flow) }
        unsafe account(flow)
        unsafe leaveBackend(flow)
        if unsafe flow.pointee.retry.keepsBody || flow.pointee.retry.isCounted {
            unsafe endRetries(flow)
        }
        if unsafe flow.pointee.triedFurther > 0 { unsafe forgetTried(flow) }
        if let head = unsafe flow.pointee.head { blocks.give(head) }
        if let trailers = unsafe flow.pointee.heldTrailers { blocks.give(trailers) }
        unsafe flow.pointee.held.release(to: buffers)
        let replica = unsafe flow.pointee.replica
        if unsafe flow.pointee.isUnheard {
            unsafe warmHand?.ended(flow)
            unsafe flow.pointee.exchange.releaseHost()
        }
        unsafe flows.give(flow)
        unsafe replica._withUnsafeGuaranteedRef { flowEnded(on: $0) }
    }
}
