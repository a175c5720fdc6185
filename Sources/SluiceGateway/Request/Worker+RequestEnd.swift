import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceInference
import SluiceIngress
import SluiceTelemetry

// The one place where a request ends: what it counted up comes down, what it owned goes back.
extension Worker {
    /// Ends a request: everything it counted up comes down, everything it owned goes back.
    func end(_ request: Request) {
        unsafe abandonCall(request)
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
        if unsafe request.pointee.timer != .none || request.pointee.timerPurpose == .arrival {
            unsafe cancelTimer(request)
        }
        unsafe account(request)
        if unsafe request.pointee.attempt.backend != nil { unsafe leaveBackend(request) }
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
        unsafe workerSnapshot._withUnsafeGuaranteedRef {
            $0.requestCount -= 1
            if $0.requestCount == 0, $0 !== self.workerSnapshot { release($0) }
        }
    }

    /// Lets a snapshot go that is no longer in use, once its last request is over.
    private func release(_ workerSnapshot: WorkerSnapshot) {
        retired.removeAll { $0 === workerSnapshot }
    }

    /// Lets the backend go: cancels what runs there, or what waits for a connection.
    func abandonCall(_ request: Request) {
        if unsafe request.pointee.offloadToken != 0 { unsafe forgetOffload(request) }
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

    /// Settles what a request that ends still owes the cache and those who wait for it.
    func leaveCache(_ request: Request) {
        guard let lookup = unsafe request.existing(LookupState.self) else { return }
        if let ticket = unsafe lookup.pointee.ticket {
            switch unsafe request.pointee.cacheRole {
            case .follows:
                _ = shared.cache?.calls.leave(ticket)
            case .leads where unsafe request.pointee.reason.concernsCallerAlone: passOn(ticket)
            default:
                unsafe complete(
                    request,
                    .failed(
                        http: request.pointee.grpcStatus >= 0
                            ? StatusTable.http(grpc: request.pointee.grpcStatus)
                            : request.pointee.status,
                        grpc: request.pointee.grpcStatus >= 0
                            ? request.pointee.grpcStatus
                            : StatusTable.grpc(http: request.pointee.status),
                        reason: request.pointee.reason == .ok
                            ? .backendError : request.pointee.reason,
                        sentence: "the equal call this one waited for failed"
                    )
                )
            }
        }
        // It may wait for another's call, or for Redis.
        if unsafe lookup.pointee.token > 0 { _ = unsafe waiting.remove(lookup.pointee.token) }
        unsafe lookup.pointee.staleEntry?.release()
        if let cacheable = unsafe lookup.pointee.cacheable {
            if let batch = unsafe cacheable._withUnsafeGuaranteedRef({ $0.rows }) { release(batch) }
            unsafe cacheable.release()
        }
        unsafe lookup.pointee.captured.release(to: buffers)
    }
}

extension Reason {
    /// Whether a call ended for a reason that doesn't concern others who wait for the same.
    fileprivate var concernsCallerAlone: Bool {
        switch self {
        case .clientGone, .timeout, .idleTimeout, .protocolError: true
        default: false
        }
    }
}
