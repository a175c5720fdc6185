import SluiceCore
import SluiceGRPC
package import SluiceHTTP
import SluiceIO
import SluiceInference
package import SluiceIngress
import SluiceTelemetry

// A request arrives: what is it, and for which model?
extension Worker {
    package func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool) {
        let message = memo.isInUse ? foresee(exchange) : nil
        let flow = unsafe begin(exchange, head)
        foreseen = message.map { unsafe ForeseenMessage(flow: flow, message: $0) }
        unsafe flow.pointee.hasRequestEnded = endStream
        unsafe flow.pointee.expectsContinue =
            !endStream && (!exchange.isHTTP2 || head.index(of: .expect) != nil)
        guard let path = unsafe head.first(.path) else {
            unsafe refuse(flow, .badRequest("the request has no path"))
            return
        }
        guard head.hasSoundTarget else {
            if Worker.isGRPCCall(head) { unsafe flow.pointee.wire = .grpc }
            unsafe refuse(flow, .badRequest("the path or authority is not a valid one"))
            return
        }
        if unsafe GRPCMethod.isGRPC(path) {
            unsafe beginGRPC(flow, head, path)
        } else {
            if mindsOrigins, unsafe answerPreflight(flow, head) { return }
            unsafe beginREST(flow, head, path)
        }
    }

    package func requestOversized(_ exchange: Exchange, _ head: FieldBlock) {
        let flow = unsafe begin(exchange, head)
        let limit = exchange.maxHeaderBytes
        unsafe flow.pointee.wire =
            head.first(.contentType).map { unsafe MediaType.isGRPC($0) } == true
            ? .grpc : .other
        unsafe refuse(flow, .headTooLarge(limit: limit))
    }

    package func requestUnreadable(
        _ connection: ServerConnection,
        status: Int,
        sentence: StaticString
    ) {
        shard.add(
            shared.store.counter(GatewayMetrics.unreadable, [connection.listener.name])
        )
        logUnreadable(connection, status: status)
    }

    private func begin(_ exchange: Exchange, _ head: FieldBlock) -> FlowPointer {
        unsafe begin(exchange, head, on: .passUnretained(replica), started: loop.now)
    }

    /// A flow for a request; pins the replica.
    func begin(
        _ exchange: Exchange,
        _ head: FieldBlock,
        on replica: Unmanaged<Replica>,
        started: Instant
    ) -> FlowPointer {
        let record = unsafe flows.take()
        let flow = unsafe record.bindMemory(to: Flow.self, capacity: 1)
        unsafe flow.initialize(
            to: Flow(
                exchange: exchange,
                replica: replica,
                started: started,
                scratch: UnsafeMutableRawBufferPointer(
                    start: record + MemoryLayout<Flow>.stride,
                    count: FlowScratch.size
                )
            )
        )
        unsafe replica._withUnsafeGuaranteedRef { $0.flowCount += 1 }
        unsafe flow.pointee.head = head
        unsafe exchange.user = UnsafeMutableRawPointer(flow)
        unsafe identify(flow, head)
        return unsafe flow
    }

    /// Keeps the caller's request identifier, or makes one; notes the trace.
    private func identify(_ flow: FlowPointer, _ head: FieldBlock) {
        let place = unsafe flow.pointee.scratch.baseAddress.unsafelyUnwrapped
        if let given = unsafe head.first(.requestID), unsafe !given.isEmpty,
            given.count <= FlowScratch.requestIDMaximum,
            let from = given.baseAddress
        {
            unsafe (place + FlowScratch.requestID).copyMemory(from: from, byteCount: given.count)
            unsafe flow.pointee.requestIDCount = UInt16(given.count)
        } else {
            let text = unsafe (place + FlowScratch.requestID).assumingMemoryBound(to: UInt8.self)
            unsafe RequestID(random: &random).write(to: text)
            unsafe flow.pointee.requestIDCount = UInt16(RequestID.textBytes)
            unsafe flow.pointee.hasOwnRequestID = true
        }
        if let parent = unsafe head.first(.traceparent), let context = unsafe TraceContext(parent) {
            unsafe flow.pointee.trace = context.trace
        }
    }

    // MARK: - REST

    private func beginREST(_ flow: FlowPointer, _ head: FieldBlock, _ raw: UnsafeRawBufferPointer) {
        var path = unsafe raw
        let known = unsafe paths.find(path)
        let parsed: InferencePath
        if let known {
            parsed = known
        } else {
            let hasEscapes = unsafe path.contains(ASCII.percent)
            if hasEscapes {
                // Clients send `%3A` for the colon; what they meant replaces what they wrote.
                guard let normalized = unsafe InferencePath.normalized(path) else {
                    unsafe refuseUnknown(
                        flow,
                        head,
                        path,
                        .notFound("the path has escapes that name nothing here")
                    )
                    return
                }
                unsafe normalized.withUnsafeBytes { unsafe head.set(.path, $0) }
                unsafe path = head.first(.path) ?? path
            }
            parsed = unsafe InferencePath(path)
            if !hasEscapes, parsed.operation != .unknown { unsafe paths.keep(path, parsed) }
        }
        unsafe flow.pointee.operation = parsed.operation
        unsafe flow.pointee.modelStart = parsed.model.lowerBound
        unsafe flow.pointee.modelEnd = parsed.model.upperBound
        unsafe flow.pointee.prefixLength = parsed.prefixLength
        unsafe flow.pointee.namesVersion = !parsed.version.isEmpty
        unsafe flow.pointee.wire =
            parsed.operation == .unknown ? .other : parsed.operation.isV1 ? .v1 : .v2
        guard parsed.operation != .unknown else {
            unsafe refuseUnknown(
                flow,
                head,
                path,
                .notFound(
                    "no such path; predictions go to /v1/models/NAME:predict or /v2/models/NAME/infer"
                )
            )
            return
        }
        guard unsafe allowsMethod(flow, head) else {
            unsafe refuse(flow, .methodNotAllowed(allow: parsed.operation.method))
            return
        }
        let limit = replica.snapshot.maxRequestBytes
        if let text = unsafe head.first(.contentLength), let length = unsafe ASCII.decimal(text),
            length > limit
        {
            unsafe refuse(flow, .bodyTooLarge(limit: limit))
            return
        }
        if parsed.model.isEmpty {
            unsafe answerREST(flow)
            return
        }
        let name = unsafe UnsafeRawBufferPointer(rebasing: path[parsed.model])
        guard let model = unsafe known == nil ? model(atPath: name) : replica.model(named: name)
        else {
            unsafe refuse(
                flow,
                .unknownModel(String(decoding: InferencePath.name(name), as: UTF8.self))
            )
            return
        }
        unsafe flow.pointee.model = model
        let isReadiness =
            unsafe parsed.operation == .v2ModelReady
            || parsed.operation == .v1Status && model._withUnsafeGuaranteedRef { $0.lacksV1 }
        if isReadiness, parsed.version.isEmpty {
            unsafe answerREST(flow)
            return
        }
        unsafe flow.pointee.timeout = model._withUnsafeGuaranteedRef { $0.timeout }
        unsafe routed(flow)
    }

    /// The model that a segment of a path names.
    private func model(atPath segment: UnsafeRawBufferPointer) -> Unmanaged<WorkerModel>? {
        guard unsafe segment.contains(ASCII.percent) else {
            return unsafe replica.model(named: segment)
        }
        return unsafe InferencePath.name(segment).withUnsafeBytes {
            unsafe replica.model(named: $0)
        }
    }

    /// Refuses a request for a path that isn't ours, in its caller's dialect.
    ///
    /// A gRPC caller reads no other answer than a gRPC status (gRPC over HTTP/2, "Responses"), and
    /// load balancers probe with a service of their own and wait for status 12.
    private func refuseUnknown(
        _ flow: FlowPointer,
        _ head: FieldBlock,
        _ path: UnsafeRawBufferPointer,
        _ refusal: Refusal
    ) {
        guard Worker.isGRPCCall(head) else {
            unsafe refuse(flow, refusal)
            return
        }
        unsafe flow.pointee.wire = .grpc
        unsafe refuse(flow, .noSuchMethod(path))
    }

    /// Whether a request is a gRPC call, whatever its path.
    private static func isGRPCCall(_ head: FieldBlock) -> Bool {
        unsafe head.first(.contentType).map { unsafe MediaType.isGRPC($0) } == true
            && head.first(.method).map { unsafe ASCII.equal($0, "POST") } == true
    }

    private func allowsMethod(_ flow: FlowPointer, _ head: FieldBlock) -> Bool {
        guard let method = unsafe head.first(.method) else { return false }
        let wanted = unsafe flow.pointee.operation.method
        if unsafe ASCII.equal(method, wanted) { return true }
        if unsafe ASCII.equal(method, "HEAD"), unsafe ASCII.equal(wanted.utf8Bytes, "GET") {
            unsafe flow.pointee.isHead = true
            return true
        }
        return false
    }

    // MARK: - gRPC

    private func beginGRPC(_ flow: FlowPointer, _ head: FieldBlock, _ path: UnsafeRawBufferPointer)
    {
        unsafe flow.pointee.wire = .grpc
        let method = unsafe GRPCMethod.lookup(path)
        unsafe flow.pointee.method = method
        guard let type = unsafe head.first(.contentType),
            unsafe MediaType.isGRPC(type)
        else {
            // Not a gRPC caller, so a plain HTTP answer is right.
            unsafe flow.pointee.wire = .other
            unsafe refuse(flow, .unsupportedType("a gRPC path takes application/grpc"))
            return
        }
        guard unsafe head.first(.method).map({ unsafe ASCII.equal($0, "POST") }) == true else {
            unsafe flow.pointee.wire = .other
            unsafe refuse(flow, .methodNotAllowed(allow: "POST"))
            return
        }
        if let text = unsafe head.first(.grpcTimeout) {
            guard let timeout = unsafe GRPCTimeout.parse(text) else {
                unsafe refuse(
                    flow,
                    .badTimeout(
                        "grpc-timeout is up to eight digits and one of H M S m u n, not '\(String(decoding: text, as: UTF8.self))'"
                    )
                )
                return
            }
            unsafe flow.pointee.timeout = max(1, timeout.nanoseconds)
            unsafe armDeadline(flow)
        }
        guard method != .unknown else {
            unsafe refuse(flow, .noSuchMethod(path))
            return
        }
        if method.isAnsweredHere {
            unsafe flow.pointee.stage = .answering
            unsafe armArrival(flow)
            unsafe sendContinue(flow)
            unsafe answeringBegan(flow)
            return
        }
        if isShedding {
            // Not even so much of the message is read as says which model it means.
            unsafe shed(flow)
            return
        }
        unsafe flow.pointee.scanner = RoutingScanner(
            nameField: method.modelField ?? 1,
            messageMaximum: replica.snapshot.maxRequestBytes,
            isStreaming: method.isStreaming
        )
        // A model mesh names the model in the head, and then the body needs no reading first.
        if let name = unsafe head.first(.meshModelID) ?? head.first(.meshVirtualModelID) {
            unsafe routeGRPC(flow, name)
            return
        }
        if unsafe flow.pointee.hasRequestEnded {
            unsafe truncated(flow)
        } else {
            unsafe armArrival(flow)
            unsafe sendContinue(flow)
        }
    }

    func truncated(_ flow: FlowPointer) {
        unsafe refuse(
            flow,
            .badRequest("the gRPC request ended before its message was complete")
        )
    }

    func routeGRPC(_ flow: FlowPointer, _ name: UnsafeRawBufferPointer) {
        guard
            let model = unsafe flow.pointee.replica._withUnsafeGuaranteedRef({
                unsafe $0.model(named: name)
            })
        else {
            unsafe refuse(
                flow,
                name.isEmpty
                    ? .badRequest("the message names no model (model_name is empty)")
                    : .unknownModel(String(decoding: name, as: UTF8.self))
            )
            return
        }
        unsafe flow.pointee.model = model
        // A stream may live as long as both sides like; a single call may not.
        if unsafe !flow.pointee.method.isStreaming {
            let own = unsafe flow.pointee.timeout
            let limit = unsafe model._withUnsafeGuaranteedRef { $0.timeout }
            unsafe flow.pointee.timeout = own == 0 ? limit : min(own, limit)
            if limit < own { unsafe armDeadline(flow) }
        }
        unsafe routed(flow)
    }

    /// Tells a client to go on that waits for that before it sends its body.
    @inline(__always)
    func sendContinue(_ flow: FlowPointer) {
        if unsafe flow.pointee.expectsContinue { unsafe flow.pointee.exchange.sendContinue() }
    }

    /// The model is known: may it be asked? Then its cache is asked first, if it has one.
    private func routed(_ flow: FlowPointer) {
        guard unsafe isAdmitted(flow) else { return }
        let mustBeWhole = unsafe beginsLookup(flow) || mayTranslate(flow)
        if !decoded.isEmpty, unsafe mustBeWhole || renames(flow) { unsafe takeDecoded(flow) }
        guard mustBeWhole else {
            unsafe dispatch(flow)
            return
        }
        unsafe flow.pointee.stage = .gathering
        guard unsafe flow.pointee.offered.isEmpty else { return }
        if unsafe flow.pointee.hasRequestEnded {
            unsafe gathered(flow)
        } else if unsafe !flow.pointee.exchange.hasWholeBody {
            unsafe beginWaiting(flow)
            unsafe sendContinue(flow)
        }
    }
}

extension StaticString {
    /// The literal's bytes.
    var utf8Bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}
