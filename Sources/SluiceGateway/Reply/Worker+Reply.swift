import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry

// Whole answers of the gateway: their heads, and how they go out.
extension Worker {
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
        unsafe head.append(.requestID, request.requestID, isVolatile: true)
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
        unsafe request.appendOrigin(to: head)
        unsafe head.append(.requestID, request.requestID, isVolatile: true)
        if unsafe !request.pointee.origin.isNone { unsafe decorateOrigin(head, request) }
        return head
    }

    // MARK: - `cache-status`

    /// Says in `cache-status` what came of the look-up (RFC 9211).
    func appendStatus(
        _ entry: CacheEntry,
        _ status: StaticString,
        detail: StaticString,
        to head: FieldBlock
    ) {
        unsafe withStatusText(entry, status, detail: detail) {
            unsafe head.append(.cacheStatus, $0, isVolatile: true)
        }
    }

    /// Calls `body` with the value of `cache-status`.
    @inline(__always)
    func withStatusText(
        _ entry: CacheEntry,
        _ status: StaticString,
        detail: StaticString,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        // Literals of ours, the longest of 50 bytes together, and a number of at most twenty.
        unsafe withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { room in
            guard let base = room.baseAddress else { return }
            var count = 0
            func append(_ text: StaticString) {
                let length = text.utf8CodeUnitCount
                precondition(count + length <= 100, "there is room for our literals")
                unsafe ShortBytes.copy(text.utf8Start, to: base + count, count: length)
                count += length
            }
            append(status)
            append("; ttl=")
            unsafe count += ASCII.write(decimal: secondsLeft(entry), to: base + count)
            append("; detail=")
            append(detail)
            unsafe body(UnsafeRawBufferPointer(start: base, count: count))
        }
    }

    func secondsLeft(_ entry: CacheEntry) -> Int {
        Int(entry.lifetime.freshUntil.nanoseconds(since: loop.now) / 1_000_000_000)
    }

    // MARK: - The end

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
}
