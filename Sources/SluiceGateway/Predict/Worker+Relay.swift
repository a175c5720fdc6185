import SluiceBalancing
import SluiceCore
package import SluiceEgress
import SluiceGRPC
package import SluiceHTTP
import SluiceIO
package import SluiceIngress
import SluiceTelemetry

// Bodies both ways, verbatim. Whoever sends may send more only when the other side has taken what
// came before: `consumed` follows `send` by exactly what moved on, and `drained` by the rest.
extension Worker {
    func relayRequest(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let call = unsafe flow.pointee.call else { return }
        if unsafe flow.pointee.retry.keepsBody { unsafe keep(flow, bytes) }
        let sent = unsafe call.send(bytes, endStream: endStream)
        if endStream { unsafe flow.pointee.clock.requestEnd = loop.now }
        unsafe flow.pointee.clock.wait(forBackend: bytes.count - sent, at: loop.now)
        unsafe credit(flow, sent)
    }

    /// Tells the client that `count` bytes have moved on, but for those it has heard of already.
    func credit(_ flow: FlowPointer, _ count: Int) {
        unsafe flow.pointee.retry.moved += count
        let known = unsafe min(count, flow.pointee.credited)
        unsafe flow.pointee.credited -= known
        if count > known { unsafe flow.pointee.exchange.consumed(count - known) }
    }

    package func requestDrained(_ call: Call, _ count: Int) {
        guard let raw = unsafe call.user else { return }
        let flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        unsafe flow.pointee.clock.taken(count)
        unsafe credit(flow, count)
    }

    package func responseDrained(_ exchange: Exchange, _ count: Int) {
        guard let raw = unsafe exchange.user else { return }
        let flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        unsafe flow.pointee.clock.read(count, at: loop.now)
        unsafe flow.pointee.call?.consumed(count)
    }

    // MARK: - The answer

    package func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool) {
        guard let raw = unsafe call.user else {
            blocks.give(head)
            return
        }
        var flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        if unsafe flow.pointee.hedge != nil, unsafe flow.pointee.isUnheard {
            guard let original = unsafe copyAnswered(flow, head, endStream: endStream) else {
                return
            }
            unsafe flow = original
        }
        let status = head.status
        if unsafe flow.pointee.retry.keepsBody {
            if unsafe (status >= 500 || endStream)
                && isFaulty(flow, failing: head, endStream: endStream)
                || flow.pointee.retry.isKept
                    && retriesUnavailable(flow, head, endStream: endStream)
            {
                blocks.give(head)
                return
            }
            unsafe forget(flow)
        }
        if unsafe flow.pointee.timerPurpose == .tryEnd { unsafe armDeadline(flow) }
        unsafe flow.pointee.outcome = BackendOutcome(http: status)
        if status >= 400 { unsafe noteRefusal(flow, http: status) }
        unsafe flow.pointee.backendCode = status
        unsafe flow.pointee.firstByte = loop.now
        if unsafe flow.pointee.isTranslated {
            unsafe translatedHead(flow, head, endStream: endStream)
            return
        }
        if unsafe flow.pointee.wire == .grpc {
            guard status == 200, let type = unsafe head.first(.contentType),
                unsafe MediaType.isGRPC(type)
            else {
                blocks.give(head)
                unsafe refuse(flow, .notGRPC(status: status))
                return
            }
            if endStream { unsafe noteStatus(flow, head) }
        }
        unsafe flow.pointee.status = status
        if status >= 500, unsafe serveSpare(flow) {
            blocks.give(head)
            return
        }
        unsafe flow.pointee.hasResponseBegun = true
        if unsafe flow.pointee.cache.role != .none { unsafe beginCapture(flow, head) }
        if unsafe flow.pointee.mirror != nil { unsafe mirrorAnswer(flow, head) }
        let exchange = unsafe flow.pointee.exchange
        if endStream { unsafe exchange.user = nil }
        unsafe sendAnswer(flow, head, endStream: endStream)
        if endStream { unsafe answered(flow) }
    }

    /// Sends the answer's head: by its name if one like it was sent to the client before, else the long way.
    private func sendAnswer(_ flow: FlowPointer, _ head: FieldBlock, endStream: Bool) {
        let exchange = unsafe flow.pointee.exchange
        let name = unsafe nameOfAnswer(flow, head)
        if !name.isNone {
            let repeated = unsafe RepeatedHead(
                name: name,
                block: head,
                added: requestID(of: flow)
            )
            if exchange.sendRepeated(repeated, endStream: endStream) {
                blocks.give(head)
                return
            }
        }
        unsafe decorate(head, flow)
        head.repeatName = name
        exchange.sendHead(head, endStream: endStream)
    }

    /// What the answer's head is called as it goes out; nothing where that hangs on more than the head as
    /// it came, the backend and the cache.
    private func nameOfAnswer(_ flow: FlowPointer, _ head: FieldBlock) -> HeadName {
        let name = head.repeatName
        guard !name.isNone, unsafe flow.pointee.origin.isNone,
            let backend = unsafe flow.pointee.backend
        else { return .none }
        let use = unsafe HeadUse.answer(
            isGRPC: flow.pointee.wire == .grpc,
            flow.pointee.cache.role
        )
        return unsafe backend._withUnsafeGuaranteedRef { name.used(as: $0.use + use) }
    }

    package func responseInterim(_ call: Call, _ head: FieldBlock) {
        guard let raw = unsafe call.user else {
            blocks.give(head)
            return
        }
        // 100 has been answered by us; 101 would switch protocols behind our back.
        guard head.status > 101 else {
            blocks.give(head)
            return
        }
        unsafe raw.assumingMemoryBound(to: Flow.self).pointee.exchange
            .sendHead(head, endStream: false)
    }

    package func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let raw = unsafe call.user else { return }
        let flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        if unsafe flow.pointee.isTranslated {
            unsafe translatedBody(flow, bytes, endStream: endStream)
            return
        }
        unsafe flow.pointee.responseBytes += bytes.count
        let exchange = unsafe flow.pointee.exchange
        if unsafe flow.pointee.cache.isCapturing { unsafe capture(flow, bytes) }
        if unsafe flow.pointee.mirror != nil { unsafe mirrorAnswer(flow, bytes) }
        if endStream {
            // A gRPC answer without trailers is broken off, whatever the frame says.
            if unsafe flow.pointee.wire == .grpc {
                unsafe broken(flow, "the backend ended its answer without a gRPC status")
                return
            }
            unsafe exchange.user = nil
            _ = unsafe exchange.send(bytes, endStream: true)
            if unsafe flow.pointee.cache.role != .none { unsafe finishCapture(flow) }
            unsafe answered(flow)
            return
        }
        let sent = unsafe exchange.send(bytes, endStream: false)
        unsafe flow.pointee.clock.wait(forCaller: bytes.count - sent, at: loop.now)
        if sent > 0 { call.consumed(sent) }
    }

    package func responseTrailers(_ call: Call, _ trailers: FieldBlock) {
        guard let raw = unsafe call.user else {
            blocks.give(trailers)
            return
        }
        let flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        if unsafe flow.pointee.isTranslated {
            unsafe translatedEnd(flow, trailers)
            blocks.give(trailers)
            return
        }
        if unsafe flow.pointee.wire == .grpc { unsafe noteStatus(flow, trailers) }
        let exchange = unsafe flow.pointee.exchange
        unsafe exchange.user = nil
        exchange.sendTrailers(trailers)
        if unsafe flow.pointee.cache.role != .none, unsafe flow.pointee.grpcStatus == 0 {
            unsafe finishCapture(flow)
        }
        unsafe answered(flow)
    }

    /// The answer's end has gone out; the flow is over.
    private func answered(_ flow: FlowPointer) {
        // The backend needn't read the rest of a request it has answered.
        if unsafe !flow.pointee.hasRequestEnded { unsafe cancelCall(flow, "answered_early") }
        unsafe flow.pointee.call = nil
        unsafe end(flow)
    }

    private func noteStatus(_ flow: FlowPointer, _ fields: FieldBlock) {
        let code = unsafe fields.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
        unsafe flow.pointee.grpcStatus = code.flatMap { $0 <= 16 ? $0 : nil } ?? 2
        unsafe flow.pointee.backendCode = flow.pointee.grpcStatus
        unsafe flow.pointee.outcome = BackendOutcome(grpc: flow.pointee.grpcStatus)
        if unsafe flow.pointee.grpcStatus != 0 { unsafe noteRefusal(flow, grpc: fields) }
    }

    /// Turns the backend's head into ours.
    private func decorate(_ head: FieldBlock, _ flow: FlowPointer) {
        for index in 0..<head.count {
            switch head[index].name {
            case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade,
                .http2Settings, .proxyAuthenticate, .requestID, .sluiceRevision, .sluiceBackend:
                head.remove(at: index)
            case .contentLength, .date: head.markVolatile(at: index)
            default: break
            }
        }
        unsafe appendOrigin(of: flow, to: head)
        switch unsafe flow.pointee.cache.role {
        case .none: break
        case .bypass: head.append(.cacheStatus, "sluice; fwd=bypass")
        default: head.append(.cacheStatus, "sluice; fwd=miss")
        }
        head.append(.via, unsafe flow.pointee.wire == .grpc ? "2 sluice" : "1.1 sluice")
        unsafe head.append(.requestID, requestID(of: flow), isVolatile: true)
        if unsafe !flow.pointee.origin.isNone { unsafe decorateOrigin(head, flow) }
    }

    // MARK: - Failures

    package func callFailed(_ call: Call, _ failure: CallFailure) {
        guard let raw = unsafe call.user else { return }
        let flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        unsafe flow.pointee.call = nil
        unsafe countFailure(flow, failure)
        if unsafe flow.pointee.hedge != nil, unsafe flow.pointee.isUnheard {
            unsafe copyFailed(flow, failure.isUnprocessed ? .unknown : .reset)
            return
        }
        if unsafe flow.pointee.hasResponseBegun {
            unsafe flow.pointee.outcome = .reset
            let refusal = Refusal.backendFailed(failure)
            unsafe broken(
                flow,
                "the backend broke off its answer: \(refusal.sentence)",
                why: refusal.why,
                status: refusal.why == .backendReset ? .unavailable : refusal.grpc
            )
            return
        }
        if unsafe isPastDeadline(flow) {
            // A backend that was told the deadline may be the first to act on it.
            unsafe deadlineCame(flow)
            return
        }
        var isStale = false
        if case .staleConnection = failure { isStale = true }
        if isStale, unsafe retryFresh(flow) { return }
        if failure.isUnprocessed {
            if unsafe retry(flow, .refused) || retryFresh(flow, isUntouched: true) { return }
        } else if !isStale, unsafe isFaulty(flow) {
            return
        } else {
            unsafe flow.pointee.outcome = .reset
            if unsafe retry(flow, .reset) { return }
        }
        unsafe refuse(flow, .backendFailed(failure))
    }

    /// The answer has begun and can't be completed: the client must not take it for whole.
    ///
    /// `why` and `status` say whose doing that is: the backend's, or ours when the time is over.
    func broken(
        _ flow: FlowPointer,
        _ sentence: String,
        why: Reason = .backendReset,
        status: GRPCStatus = .unavailable
    ) {
        let exchange = unsafe flow.pointee.exchange
        unsafe flow.pointee.why = why
        unsafe cancelCall(flow, "\(why.name)")
        unsafe exchange.user = nil
        if unsafe flow.pointee.wire == .grpc {
            unsafe flow.pointee.grpcStatus = status.rawValue
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
        unsafe end(flow)
    }
}
