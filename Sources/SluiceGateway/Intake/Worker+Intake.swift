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
        let message = memo.isInUse ? lookAhead(exchange) : nil
        let request = unsafe begin(exchange, head)
        prefetched = message.map { unsafe PrefetchedMessage(request: request, message: $0) }
        unsafe request.pointee.hasRequestEnded = endStream
        unsafe request.pointee.expectsContinue =
            !endStream && (!exchange.isHTTP2 || head.index(of: .expect) != nil)
        guard let path = unsafe head.first(.path) else {
            unsafe replyWithError(request, .badRequest("the request has no path"))
            return
        }
        guard head.hasSoundTarget else {
            if Worker.isGRPCCall(head) { unsafe request.pointee.callerProtocol = .grpc }
            unsafe replyWithError(request, .badRequest("the path or authority is not a valid one"))
            return
        }
        if unsafe GRPCMethod.isGRPC(path) {
            unsafe beginGRPC(request, head, path)
        } else {
            if mindsOrigins, unsafe answerPreflight(request, head) { return }
            unsafe beginREST(request, head, path)
        }
    }

    package func requestOversized(_ exchange: Exchange, _ head: FieldBlock) {
        let request = unsafe begin(exchange, head)
        let limit = exchange.maxHeaderBytes
        unsafe request.pointee.callerProtocol =
            head.first(.contentType).map { unsafe MediaType.isGRPC($0) } == true
            ? .grpc : .other
        unsafe replyWithError(request, .headTooLarge(limit: limit))
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

    func begin(_ exchange: Exchange, _ head: FieldBlock) -> Request {
        unsafe begin(exchange, head, on: .passUnretained(workerSnapshot), started: loop.now)
    }

    /// A record for a request; pins the worker's snapshot.
    func begin(
        _ exchange: Exchange,
        _ head: FieldBlock,
        on workerSnapshot: Unmanaged<WorkerSnapshot>,
        started: Instant
    ) -> Request {
        let record = unsafe requests.take()
        let request = unsafe record.bindMemory(to: RequestRecord.self, capacity: 1)
        unsafe request.initialize(
            to: RequestRecord(
                exchange: exchange,
                workerSnapshot: workerSnapshot,
                head: head,
                started: started
            )
        )
        unsafe workerSnapshot._withUnsafeGuaranteedRef { $0.requestCount += 1 }
        unsafe exchange.context = UnsafeMutableRawPointer(request)
        unsafe identify(request, head)
        return unsafe request
    }

    /// Keeps the caller's request identifier, or makes one; notes the trace.
    private func identify(_ request: Request, _ head: FieldBlock) {
        if let given = unsafe head.first(.requestID), unsafe !given.isEmpty,
            given.count <= RequestSlot.requestIDMaximum,
            let from = given.baseAddress
        {
            unsafe UnsafeMutableRawPointer(request.requestIDPlace)
                .copyMemory(from: from, byteCount: given.count)
            unsafe request.pointee.requestIDCount = UInt8(given.count)
        } else {
            unsafe RequestID(random: &random).write(to: request.requestIDPlace)
            unsafe request.pointee.requestIDCount = UInt8(RequestID.textBytes)
            unsafe request.pointee.hasOwnRequestID = true
        }
        if let parent = unsafe head.first(.traceparent), let context = unsafe TraceContext(parent) {
            unsafe request.pointee.trace = context.trace
        }
    }

    // MARK: - REST

    private func beginREST(_ request: Request, _ head: FieldBlock, _ raw: UnsafeRawBufferPointer) {
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
                    unsafe replyUnknown(
                        request,
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
        unsafe request.pointee.operation = parsed.operation
        unsafe request.begin(with: PathParts(parsed))
        unsafe request.pointee.namesVersion = !parsed.version.isEmpty
        unsafe request.pointee.callerProtocol =
            parsed.operation == .unknown ? .other : parsed.operation.isV1 ? .v1 : .v2
        guard parsed.operation != .unknown else {
            unsafe replyUnknown(
                request,
                head,
                path,
                .notFound(
                    "no such path; predictions go to /v1/models/NAME:predict or /v2/models/NAME/infer"
                )
            )
            return
        }
        guard unsafe allowsMethod(request, head) else {
            unsafe replyWithError(request, .methodNotAllowed(allow: parsed.operation.method))
            return
        }
        let limit = workerSnapshot.snapshot.maxRequestBytes
        if let text = unsafe head.first(.contentLength), let length = unsafe ASCII.decimal(text),
            length > limit
        {
            unsafe replyWithError(request, .bodyTooLarge(limit: limit))
            return
        }
        if parsed.model.isEmpty {
            unsafe answerREST(request)
            return
        }
        let name = unsafe UnsafeRawBufferPointer(rebasing: path[parsed.model])
        guard
            let model = unsafe known == nil
                ? model(atPath: name) : workerSnapshot.model(named: name)
        else {
            unsafe replyWithError(
                request,
                .unknownModel(String(decoding: InferencePath.name(name), as: UTF8.self))
            )
            return
        }
        unsafe request.pointee.model = model
        let isReadiness =
            unsafe parsed.operation == .v2ModelReady
            || parsed.operation == .v1Status && model._withUnsafeGuaranteedRef { $0.lacksV1 }
        if isReadiness, parsed.version.isEmpty {
            unsafe answerREST(request)
            return
        }
        unsafe request.pointee.timeout = model._withUnsafeGuaranteedRef { $0.timeout }
        unsafe routed(request)
    }

    /// The model that a segment of a path names.
    private func model(atPath segment: UnsafeRawBufferPointer) -> Unmanaged<WorkerModel>? {
        guard unsafe segment.contains(ASCII.percent) else {
            return unsafe workerSnapshot.model(named: segment)
        }
        return unsafe InferencePath.name(segment).withUnsafeBytes {
            unsafe workerSnapshot.model(named: $0)
        }
    }

    /// Refuses a request for a path that isn't ours, in its caller's protocol.
    ///
    /// A gRPC caller reads no other answer than a gRPC status (gRPC over HTTP/2, "Responses"), and
    /// load balancers probe with a service of their own and wait for status 12.
    private func replyUnknown(
        _ request: Request,
        _ head: FieldBlock,
        _ path: UnsafeRawBufferPointer,
        _ errorReply: ErrorReply
    ) {
        guard Worker.isGRPCCall(head) else {
            unsafe replyWithError(request, errorReply)
            return
        }
        unsafe request.pointee.callerProtocol = .grpc
        unsafe replyWithError(request, .noSuchMethod(path))
    }

    /// Whether a request is a gRPC call, whatever its path.
    private static func isGRPCCall(_ head: FieldBlock) -> Bool {
        unsafe head.first(.contentType).map { unsafe MediaType.isGRPC($0) } == true
            && head.first(.method).map { unsafe ASCII.equal($0, "POST") } == true
    }

    private func allowsMethod(_ request: Request, _ head: FieldBlock) -> Bool {
        guard let method = unsafe head.first(.method) else { return false }
        let wanted = unsafe request.pointee.operation.method
        if unsafe ASCII.equal(method, wanted) { return true }
        if unsafe ASCII.equal(method, "HEAD"), unsafe ASCII.equal(wanted.utf8Bytes, "GET") {
            unsafe request.pointee.isHead = true
            return true
        }
        return false
    }

    // MARK: - gRPC

    private func beginGRPC(_ request: Request, _ head: FieldBlock, _ path: UnsafeRawBufferPointer) {
        unsafe request.pointee.callerProtocol = .grpc
        let method = unsafe GRPCMethod.lookup(path)
        unsafe request.pointee.method = method
        guard let type = unsafe head.first(.contentType),
            unsafe MediaType.isGRPC(type)
        else {
            // Not a gRPC caller, so a plain HTTP answer is right.
            unsafe request.pointee.callerProtocol = .other
            unsafe replyWithError(request, .unsupportedType("a gRPC path takes application/grpc"))
            return
        }
        guard unsafe head.first(.method).map({ unsafe ASCII.equal($0, "POST") }) == true else {
            unsafe request.pointee.callerProtocol = .other
            unsafe replyWithError(request, .methodNotAllowed(allow: "POST"))
            return
        }
        if let text = unsafe head.first(.grpcTimeout) {
            guard let timeout = unsafe GRPCTimeout.parse(text) else {
                unsafe replyWithError(
                    request,
                    .badTimeout(
                        "grpc-timeout is up to eight digits and one of H M S m u n, not '\(String(decoding: text, as: UTF8.self))'"
                    )
                )
                return
            }
            unsafe request.pointee.timeout = max(1, timeout.nanoseconds)
            unsafe armDeadline(request)
        }
        guard method != .unknown else {
            unsafe replyWithError(request, .noSuchMethod(path))
            return
        }
        if method.isAnsweredHere {
            unsafe request.pointee.stage = .answering
            unsafe armArrival(request)
            unsafe request.sendContinue()
            unsafe answeringBegan(request)
            return
        }
        if isShedding {
            // Not even so much of the message is read as says which model it means.
            unsafe shedLoad(request)
            return
        }
        unsafe request.begin(
            with: RoutingScanner(
                nameField: method.modelField ?? 1,
                messageMaximum: workerSnapshot.snapshot.maxRequestBytes,
                isStreaming: method.isStreaming
            )
        )
        // A model mesh names the model in the head, and then the body needs no reading first.
        if let name = unsafe head.first(.meshModelID) ?? head.first(.meshVirtualModelID) {
            unsafe routeGRPC(request, name)
            return
        }
        if unsafe request.pointee.hasRequestEnded {
            unsafe truncated(request)
        } else {
            unsafe armArrival(request)
            unsafe request.sendContinue()
        }
    }

    // MARK: - The model is known

    /// The model is known: may it be asked? Then its cache is asked first, if it has one.
    func routed(_ request: Request, _ chunk: UnsafeRawBufferPointer = unsafe .empty) {
        guard unsafe isAdmitted(request) else { return }
        let mustBeWhole =
            unsafe isPrediction(request) && beginsLookup(request) || mayTranslate(request)
        if !decoded.isEmpty, unsafe mustBeWhole || renames(request) { unsafe takeDecoded(request) }
        guard mustBeWhole else {
            unsafe dispatch(request, chunk)
            return
        }
        unsafe request.pointee.stage = .gathering
        if unsafe !chunk.isEmpty {
            unsafe gather(request, chunk, endStream: request.pointee.hasRequestEnded)
        } else if unsafe request.pointee.hasRequestEnded {
            unsafe gathered(request)
        } else if unsafe !request.pointee.exchange.hasWholeBody {
            unsafe beginWaiting(request)
            unsafe request.sendContinue()
        }
    }

    /// Whether memory and the caller's rate let the request go on; else it has been refused.
    @inline(__always)
    func isAdmitted(_ request: Request) -> Bool {
        if isShedding {
            unsafe shedLoad(request)
            return false
        }
        guard let limits = unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.rateLimits })
        else { return true }
        return unsafe isWithin(limits, request)
    }

    /// Whether it asks a model for a single answer, in whichever form.
    func isPrediction(_ request: Request) -> Bool {
        switch unsafe request.pointee.callerProtocol {
        case .v1: unsafe request.pointee.operation == .v1Predict
        case .v2: unsafe request.pointee.operation == .v2Infer
        case .grpc: unsafe request.pointee.method == .modelInfer
        case .other: false
        }
    }

    /// Whether a prediction is to be gathered and looked up; says so in the request.
    func beginsLookup(_ request: Request) -> Bool {
        guard shared.cache != nil,
            unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache != nil })
                == true,
            let head = unsafe request.pointee.head
        else { return false }
        // In a coding that isn't read here it has no key. A gRPC message says by its flag.
        let coding =
            unsafe request.pointee.callerProtocol == .grpc
            ? NamedCoding.none : NamedCoding(head, .contentEncoding)
        var isForbidden = coding == .unknown
        unsafe request.pointee.isCoded = coding.coding != nil
        if let control = unsafe head.first(.cacheControl) {
            let (noStore, noCache) = unsafe CacheControl.read(control)
            isForbidden = isForbidden || noStore
            unsafe request.pointee.mustAsk = noCache
        }
        guard !isForbidden else {
            unsafe bypass(request)
            return false
        }
        unsafe request.pointee.cacheRole = .uncoalesced
        return true
    }

    /// Goes on without the cache.
    func bypass(_ request: Request) {
        unsafe request.pointee.cacheRole = .bypass
        unsafe count(request, .bypass)
    }
}

extension StaticString {
    /// The literal's bytes.
    var utf8Bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}
