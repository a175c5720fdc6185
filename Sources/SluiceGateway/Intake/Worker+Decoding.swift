import SluiceCompression
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceTelemetry

// Compressed requests and answers are decoded where they must be read, and pass untouched where they
// needn't be. A gRPC message that names the model must be read to be routed; after that the caller's own
// bytes go out, unless cache, translation or another name at the backend need the decoded ones.
//
//   REST   gathered ──► decoded ──► key, translation, or a runtime that reads no coded bodies
//   gRPC   message whole ──► decoded ──► name ──┬──► key, translation, rename: goes on decoded
//                                               └──► goes on as it came
//   answer gathered or captured ──► decoded ──► translated, or kept
//
// What decodes to at most a turn (1 MiB) is decoded in place, and longer bodies by helper threads.
extension Worker {
    /// Whether a request must be decoded though nothing here reads it: for a runtime that can't decode it, or to give
    /// the model in it another name.
    func mustDecode(_ request: Request, _ model: WorkerModel) -> Bool {
        guard let head = unsafe request.pointee.head else { return false }
        if unsafe request.pointee.callerProtocol == .grpc {
            return unsafe model.renames && !request.pointee.method.isStreaming
                && NamedCoding(head, .grpcEncoding).coding != nil
        }
        guard model.lacksDecoding, NamedCoding(head, .contentEncoding).coding != nil else {
            return false
        }
        unsafe request.pointee.isCoded = true
        return true
    }

    /// Whether the model's backends may know it by another name, so that its messages are written anew.
    func renames(_ request: Request) -> Bool {
        unsafe request.pointee.model?._withUnsafeGuaranteedRef { $0.renames } ?? false
    }

    // MARK: - Requests

    /// Decodes a request that was gathered, and goes on with it.
    func decodeGathered(_ request: Request) {
        guard let head = unsafe request.pointee.head else { return }
        let isMessage = unsafe request.pointee.callerProtocol == .grpc
        guard let coding = NamedCoding(head, isMessage ? .grpcEncoding : .contentEncoding).coding
        else {
            // Only a message: bodies in other codings are never looked up.
            unsafe replyWithError(request, .compressedMessage(head))
            return
        }
        unsafe decodeRequest(request, coding) { worker, request, body in
            unsafe worker.replaceBody(request, body)
            unsafe worker.gatheredDecoded(request)
        }
    }

    /// Takes more of a compressed message that hasn't been routed, and routes by it when it is whole.
    func gatherCompressed(
        _ request: Request,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) {
        guard let head = unsafe request.pointee.head,
            let coding = NamedCoding(head, .grpcEncoding).coding
        else {
            unsafe replyWithError(request, .compressedMessage(request.pointee.head))
            return
        }
        unsafe hold(request, bytes)
        guard unsafe request.scanner.pointee.isComplete else {
            if endStream { unsafe truncated(request) }
            return
        }
        if unsafe request.pointee.method.isStreaming {
            unsafe routeStream(request, coding)
            return
        }
        // More may come only of the request's end, which is for the stage that follows.
        unsafe request.pointee.stage = .gathering
        unsafe decodeRequest(request, coding) { worker, request, body in
            unsafe worker.routeDecoded(request, body)
        }
    }

    /// Routes by a message that is whole and decoded.
    private func routeDecoded(_ request: Request, _ body: PooledBytes) {
        var scanner = RoutingScanner(
            nameField: unsafe request.pointee.method.modelField ?? 1,
            messageMaximum: .max,
            isStreaming: false
        )
        guard let name = unsafe name(in: body.bytes, &scanner, request) else {
            var body = body
            body.release(to: buffers)
            return
        }
        unsafe request.begin(with: scanner)
        decoded = body
        unsafe routeGRPC(request, name)
        decoded.release(to: buffers)
    }

    /// Routes a stream by what its first message's first MiB decodes to; messages pass as they came.
    private func routeStream(_ request: Request, _ coding: ContentCoding) {
        let buffered = unsafe request.pointee.body.buffered.bytes
        let length = unsafe MessageDecoding.length(of: buffered) ?? 0
        let message = unsafe UnsafeRawBufferPointer(rebasing: buffered[5..<(5 + length)])
        var body = PooledBytes()
        defer { body.release(to: buffers) }
        // A prefix of its own: the scanner wants one, and the decoded length isn't known.
        let prefix: [UInt8] = [0, 0x7F, 0xFF, 0xFF, 0xFF]
        unsafe prefix.withUnsafeBytes { unsafe body.append($0, pool: buffers) }
        do throws(InflateFailure) {
            try unsafe body.appendInflated(
                message,
                coding,
                limit: Worker.turnMaximum,
                pool: buffers
            )
            let count = UInt32(clamping: body.count - 5)
            unsafe UnsafeMutableRawPointer(body.place(at: 1))
                .storeBytes(of: count.bigEndian, as: UInt32.self)
        } catch {
            // The beginning is enough to find the name in.
            guard case .tooLarge = error else {
                unsafe replyWithError(request, .undecodable(error, coding))
                return
            }
        }
        var scanner = RoutingScanner(
            nameField: unsafe request.pointee.method.modelField ?? 1,
            messageMaximum: .max,
            isStreaming: true
        )
        guard let name = unsafe name(in: body.bytes, &scanner, request) else { return }
        unsafe routeGRPC(request, name)
    }

    /// The model's name in a decoded message; nil when the request was refused.
    private func name(
        in body: UnsafeRawBufferPointer,
        _ scanner: inout RoutingScanner,
        _ request: Request
    ) -> UnsafeRawBufferPointer? {
        let place = unsafe request.modelNamePlace
        switch unsafe scanner.scan(body, name: place) {
        case .routed: return unsafe UnsafeRawBufferPointer(start: place, count: scanner.nameCount)
        case .needMore:
            unsafe replyWithError(
                request,
                .badRequest(
                    "model_name must come within the first \(Worker.turnMaximum) bytes of a stream's first message"
                )
            )
        case .failed(let failure):
            let head = unsafe request.pointee.head
            unsafe replyWithError(
                request,
                .unroutable(failure, scanner, workerSnapshot.snapshot, head)
            )
        }
        return nil
    }

    /// The message is routed, and must be read: what it decodes to takes its place.
    func takeDecoded(_ request: Request) {
        let body = decoded
        decoded = PooledBytes()
        unsafe replaceBody(request, body)
    }

    private func decodeRequest(
        _ request: Request,
        _ coding: ContentCoding,
        then: @escaping @Sendable (Worker, Request, PooledBytes) -> Void
    ) {
        let isMessage = unsafe request.pointee.callerProtocol == .grpc
        unsafe decode(request, coding, isMessage: isMessage, .decoding, on: .buffered) {
            worker,
            request,
            result in
            unsafe worker.decodedRequest(request, coding, result, then)
        }
    }

    /// Decodes a request's body or its answer: here what becomes at most a turn, and on a helper thread what is longer.
    private func decode(
        _ request: Request,
        _ coding: ContentCoding,
        isMessage: Bool,
        _ kind: OffloadedWork,
        on place: OffloadedBody,
        then:
            @escaping @Sendable (Worker, Request, Result<PooledBytes, InflateFailure>) -> Void
    ) {
        let limit = workerSnapshot.snapshot.maxRequestBytes
        let turn = min(limit, turnLimit)
        let result = unsafe MessageDecoding.decode(
            place == .buffered
                ? request.pointee.body.buffered.bytes : request.lookup.pointee.captured.bytes,
            coding,
            isMessage: isMessage,
            limit: turn,
            pool: buffers
        )
        guard case .failure(.tooLarge) = result, turn < limit else {
            unsafe then(self, request, result)
            return
        }
        unsafe offload(request, kind, on: place) { _, body in
            unsafe Handed(
                MessageDecoding.decode(
                    body,
                    coding,
                    isMessage: isMessage,
                    limit: limit,
                    pool: BufferPool(retainedMaximum: 0)
                )
            )
        } then: { worker, request, result in
            guard let request = unsafe request else {
                if case .success(var body) = result { body.release(to: worker.buffers) }
                return
            }
            unsafe then(worker, request, result)
        }
    }

    private func decodedRequest(
        _ request: Request,
        _ coding: ContentCoding,
        _ result: Result<PooledBytes, InflateFailure>,
        _ then: (Worker, Request, PooledBytes) -> Void
    ) {
        switch result {
        case .success(let body):
            countDecoding(.request, coding, .decoded)
            unsafe then(self, request, body)
        case .failure(let failure):
            countDecoding(.request, coding, DecodingMetrics.Outcome(failure))
            unsafe replyWithError(request, .undecodable(failure, coding))
        }
    }

    /// Puts the decoded body into the place of the caller's, and says so in the head.
    private func replaceBody(_ request: Request, _ body: PooledBytes) {
        unsafe request.pointee.body.buffered.release(to: buffers)
        unsafe request.pointee.body.buffered = body
        // The caller has heard of all it sent.
        unsafe request.pointee.body.acknowledged = body.count
        unsafe request.pointee.isCoded = false
        unsafe request.existing(RoutingScanner.self)?.pointee.passesDecoded()
        guard let head = unsafe request.pointee.head else { return }
        head.remove(.contentLength)
        if unsafe request.pointee.callerProtocol == .grpc {
            head.remove(.grpcEncoding)
        } else {
            head.remove(.contentEncoding)
            head.append(.contentLength, decimal: body.count, isVolatile: true)
        }
    }

    // MARK: - Answers

    /// Whether the answer that was gathered must be decoded before it can be read.
    func isAnswerCoded(_ request: Request, isMessage: Bool) -> Bool {
        guard unsafe request.lookup.pointee.answerCoding != nil else { return false }
        let body = unsafe request.lookup.pointee.captured.bytes
        return unsafe isMessage ? MessageDecoding.isCompressed(body) : !body.isEmpty
    }

    /// Decodes the answer of a translated call, and goes on with it.
    func decodeAnswer(_ request: Request, _ coding: ContentCoding) {
        let isMessage = unsafe request.pointee.attempt.translatedProtocol == .grpc
        unsafe decode(request, coding, isMessage: isMessage, .answer, on: .captured) {
            worker,
            request,
            result in
            unsafe worker.decodedAnswer(request, coding, result)
        }
    }

    private func decodedAnswer(
        _ request: Request,
        _ coding: ContentCoding,
        _ result: Result<PooledBytes, InflateFailure>
    ) {
        switch result {
        case .success(let body):
            countDecoding(.answer, coding, .decoded)
            unsafe putAnswer(request, body)
            unsafe translatedGathered(request)
        case .failure(let failure):
            countDecoding(.answer, coding, DecodingMetrics.Outcome(failure))
            unsafe replyWithError(request, .answerUndecodable(failure, coding))
        }
    }

    private func putAnswer(_ request: Request, _ body: PooledBytes) {
        unsafe request.lookup.pointee.captured.release(to: buffers)
        unsafe request.lookup.pointee.captured = body
        unsafe request.lookup.pointee.answerCoding = nil
    }

    /// Decodes a short answer that was captured, so that it can be kept; false when it can't be, or is too long for
    /// the loop.
    func decodeCaptured(_ request: Request, _ coding: ContentCoding, limit: Int) -> Bool {
        let result = unsafe MessageDecoding.decode(
            request.lookup.pointee.captured.bytes,
            coding,
            isMessage: request.backendProtocol == .grpc,
            limit: min(limit, Worker.turnMaximum),
            pool: buffers
        )
        guard case .success(let body) = result else { return false }
        countDecoding(.answer, coding, .decoded)
        unsafe putAnswer(request, body)
        return true
    }

    func countDecoding(
        _ direction: DecodingMetrics.Direction,
        _ coding: ContentCoding,
        _ outcome: DecodingMetrics.Outcome
    ) {
        shard.add(
            shared.store.counter(
                DecodingMetrics.decoded,
                [direction.rawValue, "\(coding)", outcome.rawValue]
            )
        )
    }
}
