import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceTelemetry

// Each request is counted and logged exactly once, when it ends.
extension Worker {
    func account(_ request: Request) {
        if let revision = unsafe request.pointee.revision {
            unsafe revision._withUnsafeGuaranteedRef {
                shard.add($0.metrics.inFlight, -1)
                if unsafe !request.pointee.isInternal { unsafe count(request, $0.metrics) }
                unsafe countAttempt(request, $0.metrics)
            }
        } else {
            unsafe count(request, unmatched)
        }
        if log != nil, unsafe !request.pointee.isInternal { unsafe record(request) }
    }

    private func count(_ request: Request, _ metrics: RevisionMetrics) {
        let callerProtocol = unsafe request.pointee.callerProtocol
        unsafe shard.add(metrics.requests(callerProtocol, code: code(of: request)))
        unsafe shard.observe(
            metrics.duration(callerProtocol),
            nanoseconds: loop.now.nanoseconds(since: request.pointee.started)
        )
        unsafe shard.add(metrics.requestBytes, UInt64(request.pointee.requestBytes))
        unsafe shard.add(metrics.responseBytes, UInt64(request.pointee.responseBytes))
    }

    private func code(of request: Request) -> Int {
        unsafe request.pointee.callerProtocol == .grpc
            ? max(0, request.pointee.grpcStatus) : request.pointee.status
    }

    /// Counts what a backend was asked, if one was.
    private func countAttempt(_ request: Request, _ metrics: RevisionMetrics) {
        if let answers = metrics.answers { unsafe classify(request, answers) }
        guard let backend = unsafe request.pointee.attempt.backend,
            unsafe request.pointee.attempt.sent != .zero
        else {
            return
        }
        let callerProtocol = unsafe request.pointee.callerProtocol
        let code = unsafe code(of: request)
        // A backend that gave no answer is counted under what we made of it.
        let answered = unsafe request.pointee.attempt.code
        unsafe backend._withUnsafeGuaranteedRef {
            shard.add($0.metrics.requests(callerProtocol, code: answered > 0 ? answered : code))
        }
        unsafe shard.observe(
            metrics.backendDuration,
            nanoseconds: loop.now.nanoseconds(since: request.pointee.attempt.sent)
        )
    }

    /// Counts an attempt that another one follows.
    func countFailedAttempt(_ request: Request, _ cause: RetryPolicy.Cause) {
        guard let backend = unsafe request.pointee.attempt.backend else { return }
        // A refused stream is how a connection ends well.
        if cause != .refused { unsafe classifyFailed(request) }
        let callerProtocol = unsafe request.pointee.callerProtocol
        let code =
            switch (cause, callerProtocol) {
            case (.timeout, .grpc): 4
            case (.timeout, _): 504
            case (_, .grpc): 14
            case (.reset, _): 502
            default: 503
            }
        unsafe backend._withUnsafeGuaranteedRef {
            shard.add($0.metrics.requests(callerProtocol, code: code))
        }
    }

    private func record(_ request: Request) {
        let exchange = unsafe request.pointee.exchange
        let started = unsafe request.pointee.started
        var record = AccessRecord(
            start: WallTime(nanoseconds: started.nanoseconds &+ wallOffset)
        )
        record.duration = loop.now.nanoseconds(since: started)
        if unsafe request.pointee.attempt.firstByte != .zero {
            record.firstByte = unsafe request.pointee.attempt.firstByte.nanoseconds(since: started)
        }
        if unsafe request.pointee.attempt.sent != .zero {
            record.backendTime = unsafe loop.now.nanoseconds(since: request.pointee.attempt.sent)
        }
        if unsafe request.pointee.callerProtocol == .grpc {
            unsafe record.method = ("POST" as StaticString).utf8Bytes
            unsafe record.path = request.pointee.method.path.utf8Bytes
            record.interface = .grpc
            record.grpcStatus = unsafe UInt8(clamping: request.pointee.grpcStatus)
        } else {
            unsafe record.method =
                request.pointee.isHead
                ? ("HEAD" as StaticString).utf8Bytes
                : request.pointee.operation.method.utf8Bytes
            unsafe record.path = request.pointee.operation.template.utf8Bytes
            record.interface =
                switch unsafe request.pointee.callerProtocol {
                case .v1: .v1
                case .v2: .v2
                default: .other
                }
        }
        record.http = exchange.isHTTP2 ? .http2 : .http1
        record.status = unsafe UInt16(clamping: request.pointee.status)
        record.requestBytes = unsafe UInt64(request.pointee.requestBytes)
        record.responseBytes = unsafe UInt64(request.pointee.responseBytes)
        record.attempts = unsafe UInt32(request.pointee.attempt.count)
        unsafe record.requestID = request.requestID
        record.isRequestIDPlain = unsafe request.pointee.hasOwnRequestID
        record.trace = unsafe request.pointee.trace
        record.reason = unsafe request.pointee.reason
        if exchange.isSecure { record.tls = exchange.isTLS13 ? .tls13 : .tls12 }
        // The texts are borrowed for the call; the snapshot and the connection outlive it.
        if let backend = unsafe request.pointee.attempt.backend {
            unsafe record.target = backend._withUnsafeGuaranteedRef { unsafe $0.accessTarget.bytes }
            // The gateway gave no reason, so the failure is the backend's own.
            if record.reason == .ok, record.status >= 400 || record.grpcStatus ?? 0 > 0 {
                record.reason = .backendError
            }
        } else if let revision = unsafe request.pointee.revision {
            unsafe record.target = revision._withUnsafeGuaranteedRef {
                unsafe $0.accessTarget.bytes
            }
        } else if let model = unsafe request.pointee.model {
            unsafe record.model = model._withUnsafeGuaranteedRef { unsafe $0.name.bytes }
        }
        unsafe record.client = exchange.clientText
        log?.append(record)
    }

    /// Logs a connection that ended because what came was not HTTP.
    func logUnreadable(_ connection: ServerConnection, status: Int) {
        guard let log else { return }
        var record = AccessRecord(
            start: WallTime(nanoseconds: loop.now.nanoseconds &+ wallOffset)
        )
        record.status = UInt16(clamping: status)
        record.reason = .protocolError
        unsafe record.client = connection.clientBytes
        log.append(record)
    }
}
