import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceTelemetry

// Each request is counted and logged exactly once, when it ends.
extension Worker {
    func account(_ flow: FlowPointer) {
        if let revision = unsafe flow.pointee.revision {
            unsafe revision._withUnsafeGuaranteedRef {
                shard.add($0.metrics.inFlight, -1)
                if unsafe !flow.pointee.isUnheard { unsafe count(flow, $0.metrics) }
                unsafe countAttempt(flow, $0.metrics)
            }
        } else {
            unsafe count(flow, strangers)
        }
        if log != nil, unsafe !flow.pointee.isUnheard { unsafe record(flow) }
    }

    private func count(_ flow: FlowPointer, _ metrics: RevisionMetrics) {
        let wire = unsafe flow.pointee.wire
        unsafe shard.add(metrics.requests(wire, code: code(of: flow)))
        unsafe shard.observe(
            metrics.duration(wire),
            nanoseconds: loop.now.nanoseconds(since: flow.pointee.started)
        )
        unsafe shard.add(metrics.requestBytes, UInt64(flow.pointee.requestBytes))
        unsafe shard.add(metrics.responseBytes, UInt64(flow.pointee.responseBytes))
    }

    private func code(of flow: FlowPointer) -> Int {
        unsafe flow.pointee.wire == .grpc
            ? max(0, flow.pointee.grpcStatus) : flow.pointee.status
    }

    /// Counts what a backend was asked, if one was.
    private func countAttempt(_ flow: FlowPointer, _ metrics: RevisionMetrics) {
        if let answers = metrics.answers { unsafe judge(flow, answers) }
        guard let backend = unsafe flow.pointee.backend, unsafe flow.pointee.sent != .zero else {
            return
        }
        let wire = unsafe flow.pointee.wire
        let code = unsafe code(of: flow)
        // A backend that gave no answer is counted under what we made of it.
        let answered = unsafe flow.pointee.backendCode
        unsafe backend._withUnsafeGuaranteedRef {
            shard.add($0.metrics.requests(wire, code: answered > 0 ? answered : code))
        }
        unsafe shard.observe(
            metrics.backendDuration,
            nanoseconds: loop.now.nanoseconds(since: flow.pointee.sent)
        )
    }

    /// Counts an attempt that another one follows.
    func countFailedAttempt(_ flow: FlowPointer, _ cause: RetryPolicy.Cause) {
        guard let backend = unsafe flow.pointee.backend else { return }
        // A refused stream is how a connection ends well.
        if cause != .refused { unsafe judgeFailed(flow) }
        let wire = unsafe flow.pointee.wire
        let code =
            switch (cause, wire) {
            case (.timeout, .grpc): 4
            case (.timeout, _): 504
            case (_, .grpc): 14
            case (.reset, _): 502
            default: 503
            }
        unsafe backend._withUnsafeGuaranteedRef { shard.add($0.metrics.requests(wire, code: code)) }
    }

    private func record(_ flow: FlowPointer) {
        let exchange = unsafe flow.pointee.exchange
        let started = unsafe flow.pointee.started
        var record = AccessRecord(
            start: WallTime(nanoseconds: started.nanoseconds &+ wallOffset)
        )
        record.duration = loop.now.nanoseconds(since: started)
        if unsafe flow.pointee.firstByte != .zero {
            record.firstByte = unsafe flow.pointee.firstByte.nanoseconds(since: started)
        }
        if unsafe flow.pointee.sent != .zero {
            record.backendTime = unsafe loop.now.nanoseconds(since: flow.pointee.sent)
        }
        if unsafe flow.pointee.wire == .grpc {
            unsafe record.method = ("POST" as StaticString).utf8Bytes
            unsafe record.path = flow.pointee.method.path.utf8Bytes
            record.interface = .grpc
            record.grpcStatus = unsafe UInt8(clamping: flow.pointee.grpcStatus)
        } else {
            unsafe record.method =
                flow.pointee.isHead
                ? ("HEAD" as StaticString).utf8Bytes
                : flow.pointee.operation.method.utf8Bytes
            unsafe record.path = flow.pointee.operation.template.utf8Bytes
            record.interface =
                switch unsafe flow.pointee.wire {
                case .v1: .v1
                case .v2: .v2
                default: .other
                }
        }
        record.http = exchange.isHTTP2 ? .http2 : .http1
        record.status = unsafe UInt16(clamping: flow.pointee.status)
        record.requestBytes = unsafe UInt64(flow.pointee.requestBytes)
        record.responseBytes = unsafe UInt64(flow.pointee.responseBytes)
        record.attempts = unsafe UInt32(flow.pointee.attempts)
        unsafe record.requestID = requestID(of: flow)
        record.isRequestIDPlain = unsafe flow.pointee.hasOwnRequestID
        record.trace = unsafe flow.pointee.trace
        record.why = unsafe flow.pointee.why
        if exchange.isSecure { record.tls = exchange.isTLS13 ? .tls13 : .tls12 }
        // The texts are borrowed for the call; the replica and the connection outlive it.
        if let backend = unsafe flow.pointee.backend {
            unsafe record.target = backend._withUnsafeGuaranteedRef { unsafe $0.accessTarget.bytes }
            // Nobody here gave a reason, so the failure is the backend's own.
            if record.why == .ok, record.status >= 400 || record.grpcStatus ?? 0 > 0 {
                record.why = .backendError
            }
        } else if let revision = unsafe flow.pointee.revision {
            unsafe record.target = revision._withUnsafeGuaranteedRef {
                unsafe $0.accessTarget.bytes
            }
        } else if let model = unsafe flow.pointee.model {
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
        record.why = .protocolError
        unsafe record.client = connection.clientBytes
        log.append(record)
    }
}
