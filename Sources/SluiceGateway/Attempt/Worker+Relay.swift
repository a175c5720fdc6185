import SluiceBalancing
import SluiceCore
package import SluiceEgress
import SluiceGRPC
package import SluiceHTTP
import SluiceIO
import SluiceInference
package import SluiceIngress
import SluiceTelemetry

// Bodies both ways, verbatim. A sender may send more only when the other side has taken what
// came before: `consumed` follows `send` by exactly what moved on, and `drained` by the rest.
extension Worker {
    func relayRequest(_ request: Request, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let call = unsafe request.pointee.attempt.call else { return }
        if unsafe request.pointee.retry.keepsBody { unsafe keep(request, bytes) }
        let sent = unsafe call.send(bytes, endStream: endStream)
        if endStream { unsafe request.pointee.body.ended = loop.now }
        unsafe noteWaiting(request, bytes.count - sent)
        unsafe credit(request, sent)
    }

    /// So many bytes of the request wait for the backend, if any.
    @inline(__always)
    func noteWaiting(_ request: Request, _ count: Int) {
        if count > 0 { unsafe request.clock.pointee.wait(forBackend: count, at: loop.now) }
    }

    /// Tells the client that `count` bytes have moved on, but for those it has heard of already.
    func credit(_ request: Request, _ count: Int) {
        unsafe request.pointee.body.replayAcknowledged += count
        let known = unsafe min(count, request.pointee.body.acknowledged)
        unsafe request.pointee.body.acknowledged -= known
        if count > known { unsafe request.pointee.exchange.consumed(count - known) }
    }

    package func requestDrained(_ call: Call, _ count: Int) {
        guard let raw = unsafe call.context else { return }
        let request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        unsafe request.existing(AttemptClock.self)?.pointee.taken(count)
        unsafe credit(request, count)
    }

    package func responseDrained(_ exchange: Exchange, _ count: Int) {
        guard let raw = unsafe exchange.context else { return }
        let request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        unsafe request.existing(AttemptClock.self)?.pointee.read(count, at: loop.now)
        unsafe request.pointee.attempt.call?.consumed(count)
    }

    // MARK: - The answer

    package func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool) {
        guard let raw = unsafe call.context else {
            blocks.give(head)
            return
        }
        var request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        if unsafe request.pointee.isHedged, unsafe request.pointee.isInternal {
            guard let original = unsafe copyAnswered(request, head, endStream: endStream) else {
                return
            }
            unsafe request = original
        }
        let status = head.status
        if unsafe request.pointee.retry.keepsBody {
            if unsafe (status >= 500 || endStream)
                && isFaulty(request, failing: head, endStream: endStream)
                || request.pointee.retry.isKept
                    && retriesUnavailable(request, head, endStream: endStream)
            {
                blocks.give(head)
                return
            }
            if unsafe request.pointee.operation == .v2Infer {
                unsafe gatherForBinaryOutputs(request, head)
            }
            unsafe forget(request)
        }
        if unsafe request.pointee.timerPurpose == .tryEnd { unsafe armDeadline(request) }
        unsafe request.pointee.attempt.outcome = BackendOutcome(http: status)
        if status >= 400 { unsafe noteErrorAnswer(request, http: status) }
        unsafe request.pointee.attempt.code = status
        unsafe request.pointee.attempt.firstByte = loop.now
        if unsafe request.pointee.isTranslated {
            unsafe translatedHead(request, head, endStream: endStream)
            return
        }
        if unsafe request.pointee.callerProtocol == .grpc {
            guard status == 200, let type = unsafe head.first(.contentType),
                unsafe MediaType.isGRPC(type)
            else {
                blocks.give(head)
                unsafe replyWithError(request, .notGRPC(status: status))
                return
            }
            if endStream { unsafe noteStatus(request, head) }
        }
        unsafe request.pointee.status = status
        if status >= 500, unsafe serveStaleIfError(request) {
            blocks.give(head)
            return
        }
        unsafe request.pointee.hasResponseBegun = true
        if unsafe request.pointee.cacheRole != .none { unsafe beginCapture(request, head) }
        if unsafe request.pointee.isMirrored { unsafe mirrorAnswer(request, head) }
        let exchange = unsafe request.pointee.exchange
        if endStream { unsafe exchange.context = nil }
        unsafe sendAnswer(request, head, endStream: endStream)
        if endStream { unsafe answered(request) }
    }

    /// Sends the answer's head: by its name if one like it was sent to the client before, else the long way.
    private func sendAnswer(_ request: Request, _ head: FieldBlock, endStream: Bool) {
        let exchange = unsafe request.pointee.exchange
        let name = unsafe nameOfAnswer(request, head)
        if !name.isNone {
            let repeated = unsafe RepeatedHead(
                name: name,
                block: head,
                added: request.requestID
            )
            if exchange.sendRepeated(repeated, endStream: endStream) {
                blocks.give(head)
                return
            }
        }
        unsafe decorate(head, request)
        head.repeatName = name
        exchange.sendHead(head, endStream: endStream)
    }

    /// What the answer's head is called as it goes out; nothing where that hangs on more than the head as
    /// it came, the backend and the cache.
    private func nameOfAnswer(_ request: Request, _ head: FieldBlock) -> HeadName {
        let name = head.repeatName
        guard !name.isNone, unsafe request.isHeadRepeatable,
            let backend = unsafe request.pointee.attempt.backend
        else { return .none }
        let status: UInt64 =
            switch unsafe request.pointee.cacheRole {
            case .none: 0
            case .bypass: 1
            case .follows, .leads, .uncoalesced: 2
            }
        let use =
            unsafe HeadUse.answers + status + (request.pointee.callerProtocol == .grpc ? 3 : 0)
        return unsafe backend._withUnsafeGuaranteedRef { name.used(as: $0.use + use) }
    }

    package func responseInterim(_ call: Call, _ head: FieldBlock) {
        guard let raw = unsafe call.context else {
            blocks.give(head)
            return
        }
        // 100 has been answered by us; 101 would switch protocols behind our back.
        guard head.status > 101 else {
            blocks.give(head)
            return
        }
        head.remove(GatewayFields.ofAnswers)
        unsafe raw.assumingMemoryBound(to: RequestRecord.self).pointee.exchange
            .sendHead(head, endStream: false)
    }

    package func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let raw = unsafe call.context else { return }
        let request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        if unsafe request.pointee.isTranslated {
            unsafe translatedBody(request, bytes, endStream: endStream)
            return
        }
        unsafe request.pointee.responseBytes += bytes.count
        let exchange = unsafe request.pointee.exchange
        if unsafe request.pointee.isCapturing { unsafe capture(request, bytes) }
        if unsafe request.pointee.isMirrored { unsafe mirrorAnswer(request, bytes) }
        if endStream {
            // A gRPC answer without trailers is broken off, whatever the frame says.
            if unsafe request.pointee.callerProtocol == .grpc {
                unsafe broken(request, "the backend ended its answer without a gRPC status")
                return
            }
            unsafe exchange.context = nil
            _ = unsafe exchange.send(bytes, endStream: true)
            if unsafe request.pointee.cacheRole != .none { unsafe finishCapture(request) }
            unsafe answered(request)
            return
        }
        let sent = unsafe exchange.send(bytes, endStream: false)
        if sent < bytes.count {
            unsafe request.clock.pointee.wait(forCaller: bytes.count - sent, at: loop.now)
        }
        if sent > 0 { call.consumed(sent) }
    }

    package func responseTrailers(_ call: Call, _ trailers: FieldBlock) {
        guard let raw = unsafe call.context else {
            blocks.give(trailers)
            return
        }
        let request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        if unsafe request.pointee.isTranslated {
            unsafe translatedEnd(request, trailers)
            blocks.give(trailers)
            return
        }
        if unsafe request.pointee.callerProtocol == .grpc { unsafe noteStatus(request, trailers) }
        let exchange = unsafe request.pointee.exchange
        unsafe exchange.context = nil
        if trailers.remove(GatewayFields.ofAnswerTrailers), trailers.isBare {
            blocks.give(trailers)
            unsafe _ = exchange.send(UnsafeRawBufferPointer(start: nil, count: 0), endStream: true)
        } else {
            exchange.sendTrailers(trailers)
        }
        if unsafe request.pointee.cacheRole != .none, unsafe request.pointee.grpcStatus == 0 {
            unsafe finishCapture(request)
        }
        unsafe answered(request)
    }

    /// The answer's end has gone out; the request is over.
    private func answered(_ request: Request) {
        // The backend needn't read the rest of a request it has answered.
        if unsafe !request.pointee.hasRequestEnded { unsafe cancelCall(request, "answered_early") }
        unsafe request.pointee.attempt.call = nil
        unsafe end(request)
    }

    private func noteStatus(_ request: Request, _ fields: FieldBlock) {
        let code = unsafe fields.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
        unsafe request.pointee.grpcStatus = code.flatMap { $0 <= 16 ? $0 : nil } ?? 2
        unsafe request.pointee.attempt.code = request.pointee.grpcStatus
        unsafe request.pointee.attempt.outcome = BackendOutcome(grpc: request.pointee.grpcStatus)
        if unsafe request.pointee.grpcStatus != 0 { unsafe noteErrorAnswer(request, grpc: fields) }
    }

    /// Turns the backend's head into ours.
    private func decorate(_ head: FieldBlock, _ request: Request) {
        let taken = GatewayFields.ofAnswers
        for index in 0..<head.count {
            let name = head[index].name
            if taken.contains(name) {
                head.remove(at: index)
                continue
            }
            switch name {
            case .contentLength, .date: head.markVolatile(at: index)
            default: break
            }
        }
        unsafe request.appendOrigin(to: head)
        switch unsafe request.pointee.cacheRole {
        case .none: break
        case .bypass: head.append(.cacheStatus, "sluice; fwd=bypass")
        default: head.append(.cacheStatus, "sluice; fwd=miss")
        }
        head.append(
            .via,
            unsafe request.pointee.callerProtocol == .grpc ? "2 sluice" : "1.1 sluice"
        )
        unsafe head.append(.requestID, request.requestID, isVolatile: true)
        if unsafe !request.pointee.origin.isNone { unsafe decorateOrigin(head, request) }
    }

    // MARK: - Failures

    package func callFailed(_ call: Call, _ failure: CallFailure) {
        guard let raw = unsafe call.context else { return }
        let request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        unsafe request.pointee.attempt.call = nil
        unsafe countFailure(request, failure)
        if unsafe request.pointee.isHedged, unsafe request.pointee.isInternal {
            unsafe copyFailed(request, failure.isUnprocessed ? .unknown : .reset)
            return
        }
        if unsafe request.pointee.hasResponseBegun {
            unsafe request.pointee.attempt.outcome = .reset
            let errorReply = ErrorReply.backendFailed(failure)
            unsafe broken(
                request,
                "the backend broke off its answer: \(errorReply.sentence)",
                reason: errorReply.reason,
                status: errorReply.reason == .backendReset ? .unavailable : errorReply.grpc
            )
            return
        }
        if unsafe isPastDeadline(request) {
            // A backend that was told the deadline may be the first to act on it.
            unsafe deadlineCame(request)
            return
        }
        var isStale = false
        if case .staleConnection = failure { isStale = true }
        if isStale, unsafe retryFresh(request) { return }
        if failure.isUnprocessed {
            if unsafe retry(request, .refused) || retryFresh(request, isUntouched: true) { return }
        } else if !isStale, unsafe isFaulty(request) {
            return
        } else {
            unsafe request.pointee.attempt.outcome = .reset
            if unsafe retry(request, .reset) { return }
        }
        unsafe replyWithError(request, .backendFailed(failure))
    }

    /// The answer has begun and can't be completed: the client must not take it for whole.
    ///
    /// `reason` and `status` say whose doing that is: the backend's, or ours when the time is over.
    func broken(
        _ request: Request,
        _ sentence: String,
        reason: Reason = .backendReset,
        status: GRPCStatus = .unavailable
    ) {
        let exchange = unsafe request.pointee.exchange
        unsafe request.pointee.reason = reason
        unsafe cancelCall(request, "\(reason.name)")
        unsafe exchange.context = nil
        if unsafe request.pointee.callerProtocol == .grpc {
            unsafe request.pointee.grpcStatus = status.rawValue
            let trailers = blocks.take()
            trailers.append(.grpcStatus, decimal: status.rawValue)
            trailers.append(
                .grpcMessage,
                text: StatusMessage.encode(sentence),
                isVolatile: true
            )
            exchange.sendTrailers(trailers)
        } else {
            exchange.abort(.internalError)
        }
        unsafe end(request)
    }
}
