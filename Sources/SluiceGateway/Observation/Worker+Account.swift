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
        let wire = unsafe flow.pointee.wire
        let isGRPC = wire == .grpc
        let code = unsafe isGRPC ? max(0, flow.pointee.grpcStatus) : flow.pointee.status
        let duration = unsafe loop.now.nanoseconds(since: flow.pointee.started)
        let revision = unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { $0 }
        let metrics = revision?.metrics ?? strangers
        shard.add(metrics.requests(wire, code: code))
        shard.observe(metrics.duration(wire), nanoseconds: duration)
        unsafe shard.add(metrics.requestBytes, UInt64(flow.pointee.requestBytes))
        unsafe shard.add(metrics.responseBytes, UInt64(flow.pointee.responseBytes))
        if revision != nil { shard.add(metrics.inFlight, -1) }
        let backend = unsafe flow.pointee.backend?._withUnsafeGuaranteedRef { $0 }
        if let backend, unsafe flow.pointee.sent != .zero {
            // A backend that gave no answer is counted under what we made of it.
            let answered = unsafe flow.pointee.backendCode
            shard.add(backend.metrics.requests(wire, code: answered > 0 ? answered : code))
            unsafe shard.observe(
                metrics.backendDuration,
                nanoseconds: loop.now.nanoseconds(since: flow.pointee.sent))
        }
        guard let log else { return }
        unsafe record(flow, to: log, revision, backend, duration)
    }

    private func record(
        _ flow: FlowPointer, to log: AccessBuffer, _ revision: WorkerRevision?,
        _ backend: WorkerBackend?, _ duration: Int64
    ) {
        let connection = unsafe flow.pointee.exchange.connection
        let started = unsafe flow.pointee.started
        var record = AccessRecord(
            start: WallTime(nanoseconds: started.nanoseconds &+ wallOffset))
        record.duration = duration
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
        record.http = unsafe flow.pointee.exchange.isHTTP2 ? .http2 : .http1
        record.status = unsafe UInt16(clamping: flow.pointee.status)
        record.requestBytes = unsafe UInt64(flow.pointee.requestBytes)
        record.responseBytes = unsafe UInt64(flow.pointee.responseBytes)
        record.attempts = unsafe UInt32(flow.pointee.attempts)
        unsafe record.requestID = requestID(of: flow)
        record.trace = unsafe flow.pointee.trace
        record.why = unsafe flow.pointee.why
        if connection.listener.isSecure { record.tls = connection.isTLS13 ? .tls13 : .tls12 }
        // The texts are borrowed for the call; the replica and the connection outlive it.
        let model = unsafe flow.pointee.model?._withUnsafeGuaranteedRef { $0.nameBytes } ?? []
        unsafe model.withUnsafeBytes { model in
            unsafe (revision?.nameBytes ?? []).withUnsafeBytes { revision in
                unsafe (backend?.labelBytes ?? []).withUnsafeBytes { backend in
                    unsafe connection.clientText.withUnsafeBytes { client in
                        unsafe record.model = model
                        unsafe record.revision = revision
                        unsafe record.backend = backend
                        unsafe record.client = client
                        log.append(record)
                    }
                }
            }
        }
    }

    /// Logs a connection that ended because what came was not HTTP.
    func logUnreadable(_ connection: ServerConnection, status: Int) {
        guard let log else { return }
        var record = AccessRecord(
            start: WallTime(nanoseconds: loop.now.nanoseconds &+ wallOffset))
        record.status = UInt16(clamping: status)
        record.why = .protocolError
        unsafe connection.clientText.withUnsafeBytes { client in
            unsafe record.client = client
            log.append(record)
        }
    }
}
