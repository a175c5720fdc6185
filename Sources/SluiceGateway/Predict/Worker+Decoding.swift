import SluiceCompression
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceIngress
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
    /// Whether the request that was gathered must be decoded before it can be read.
    @inline(__always)
    func isCoded(_ flow: FlowPointer) -> Bool {
        unsafe flow.pointee.isCoded || flow.pointee.scanner.isCompressed
    }

    /// Whether a request must be decoded though nothing here reads it: for a runtime that can't decode it, or to give
    /// the model in it another name.
    func mustDecode(_ flow: FlowPointer, _ model: WorkerModel) -> Bool {
        guard let head = unsafe flow.pointee.head else { return false }
        if unsafe flow.pointee.wire == .grpc {
            return unsafe model.renames && !flow.pointee.method.isStreaming
                && NamedCoding(head, .grpcEncoding).coding != nil
        }
        guard model.lacksDecoding, NamedCoding(head, .contentEncoding).coding != nil else {
            return false
        }
        unsafe flow.pointee.isCoded = true
        return true
    }

    /// Whether the model's backends may know it by another name, so that its messages are written anew.
    func renames(_ flow: FlowPointer) -> Bool {
        unsafe flow.pointee.model?._withUnsafeGuaranteedRef { $0.renames } ?? false
    }

    // MARK: - Requests

    /// Decodes a request that was gathered, and goes on with it.
    func decodeGathered(_ flow: FlowPointer) {
        guard let head = unsafe flow.pointee.head else { return }
        let isMessage = unsafe flow.pointee.wire == .grpc
        guard let coding = NamedCoding(head, isMessage ? .grpcEncoding : .contentEncoding).coding
        else {
            // Only a message: bodies in other codings are never looked up.
            unsafe refuse(flow, .compressedMessage(head))
            return
        }
        unsafe decodeRequest(flow, coding) { worker, flow, body in
            unsafe worker.replaceBody(flow, body)
            unsafe worker.gatheredDecoded(flow)
        }
    }

    /// Takes more of a compressed message that hasn't been routed, and routes by it when it is whole.
    func gatherCompressed(
        _ flow: FlowPointer,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) {
        guard let head = unsafe flow.pointee.head,
            let coding = NamedCoding(head, .grpcEncoding).coding
        else {
            unsafe refuse(flow, .compressedMessage(flow.pointee.head))
            return
        }
        unsafe hold(flow, bytes)
        guard unsafe flow.pointee.scanner.isComplete else {
            if endStream { unsafe truncated(flow) }
            return
        }
        if unsafe flow.pointee.method.isStreaming {
            unsafe routeStream(flow, coding)
            return
        }
        // More may come only of the request's end, which is for the stage that follows.
        unsafe flow.pointee.stage = .gathering
        unsafe decodeRequest(flow, coding) { worker, flow, body in
            unsafe worker.routeDecoded(flow, body)
        }
    }

    /// Routes by a message that is whole and decoded.
    private func routeDecoded(_ flow: FlowPointer, _ body: PooledBytes) {
        var scanner = RoutingScanner(
            nameField: unsafe flow.pointee.method.modelField ?? 1,
            messageMaximum: .max,
            isStreaming: false
        )
        guard let name = unsafe name(in: body.bytes, &scanner, flow) else {
            var body = body
            body.release(to: buffers)
            return
        }
        unsafe flow.pointee.scanner = scanner
        decoded = body
        unsafe routeGRPC(flow, name)
        decoded.release(to: buffers)
    }

    /// Routes a stream by what its first message's first MiB decodes to; messages pass as they came.
    private func routeStream(_ flow: FlowPointer, _ coding: ContentCoding) {
        let held = unsafe flow.pointee.held.bytes
        let length = unsafe MessageDecoding.length(of: held) ?? 0
        let message = unsafe UnsafeRawBufferPointer(rebasing: held[5..<(5 + length)])
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
                unsafe refuse(flow, .undecodable(error, coding))
                return
            }
        }
        var scanner = RoutingScanner(
            nameField: unsafe flow.pointee.method.modelField ?? 1,
            messageMaximum: .max,
            isStreaming: true
        )
        guard let name = unsafe name(in: body.bytes, &scanner, flow) else { return }
        unsafe routeGRPC(flow, name)
    }

    /// The model's name in a decoded message; nil when the request was refused.
    private func name(
        in body: UnsafeRawBufferPointer,
        _ scanner: inout RoutingScanner,
        _ flow: FlowPointer
    ) -> UnsafeRawBufferPointer? {
        let place =
            unsafe (flow.pointee.scratch.baseAddress.unsafelyUnwrapped
            + FlowScratch.modelName).assumingMemoryBound(to: UInt8.self)
        switch unsafe scanner.scan(body, name: place) {
        case .routed: return unsafe UnsafeRawBufferPointer(start: place, count: scanner.nameCount)
        case .needMore:
            unsafe refuse(
                flow,
                .badRequest(
                    "model_name must come within the first \(Worker.turnMaximum) bytes of a stream's first message"
                )
            )
        case .failed(let failure):
            let head = unsafe flow.pointee.head
            unsafe refuse(flow, .unroutable(failure, scanner, replica.snapshot, head))
        }
        return nil
    }

    /// The message is routed, and must be read: what it decodes to takes its place.
    func takeDecoded(_ flow: FlowPointer) {
        let body = decoded
        decoded = PooledBytes()
        unsafe replaceBody(flow, body)
    }

    private func decodeRequest(
        _ flow: FlowPointer,
        _ coding: ContentCoding,
        then: @escaping @Sendable (Worker, FlowPointer, PooledBytes) -> Void
    ) {
        let isMessage = unsafe flow.pointee.wire == .grpc
        let limit = replica.snapshot.maxRequestBytes
        let turn = shared.offload == nil ? limit : min(limit, Worker.turnMaximum)
        let result = unsafe MessageDecoding.decode(
            flow.pointee.held.bytes,
            coding,
            isMessage: isMessage,
            limit: turn,
            pool: buffers
        )
        guard case .failure(.tooLarge) = result, turn < limit else {
            unsafe decodedRequest(flow, coding, result, then)
            return
        }
        unsafe offload(flow, .decoding, on: .held) { _, body in
            unsafe Handed(
                MessageDecoding.decode(
                    body,
                    coding,
                    isMessage: isMessage,
                    limit: limit,
                    pool: BufferPool(retainedMaximum: 0)
                )
            )
        } then: { worker, flow, result in
            guard let flow = unsafe flow else {
                if case .success(var body) = result { body.release(to: worker.buffers) }
                return
            }
            unsafe worker.decodedRequest(flow, coding, result, then)
        }
    }

    private func decodedRequest(
        _ flow: FlowPointer,
        _ coding: ContentCoding,
        _ result: Result<PooledBytes, InflateFailure>,
        _ then: (Worker, FlowPointer, PooledBytes) -> Void
    ) {
        switch result {
        case .success(let body):
            countDecoding(.request, coding, .decoded)
            unsafe then(self, flow, body)
        case .failure(let failure):
            countDecoding(.request, coding, DecodingMetrics.Outcome(failure))
            unsafe refuse(flow, .undecodable(failure, coding))
        }
    }

    /// Puts the decoded body into the place of the caller's, and says so in the head.
    private func replaceBody(_ flow: FlowPointer, _ body: PooledBytes) {
        unsafe flow.pointee.held.release(to: buffers)
        unsafe flow.pointee.held = body
        // The caller has heard of all it sent.
        unsafe flow.pointee.credited = body.count
        unsafe flow.pointee.isCoded = false
        unsafe flow.pointee.scanner.passesDecoded()
        guard let head = unsafe flow.pointee.head else { return }
        head.remove(.contentLength)
        if unsafe flow.pointee.wire == .grpc {
            head.remove(.grpcEncoding)
        } else {
            head.remove(.contentEncoding)
            head.append(.contentLength, decimal: body.count, isVolatile: true)
        }
    }

    // MARK: - Answers

    /// Whether the answer that was gathered must be decoded before it can be read.
    func isAnswerCoded(_ flow: FlowPointer, isMessage: Bool) -> Bool {
        guard unsafe flow.pointee.cache.answerCoding != nil else { return false }
        let body = unsafe flow.pointee.cache.captured.bytes
        return unsafe isMessage ? MessageDecoding.isCompressed(body) : !body.isEmpty
    }

    /// Decodes the answer of a translated call, and goes on with it.
    func decodeAnswer(_ flow: FlowPointer, _ coding: ContentCoding) {
        let isMessage = unsafe flow.pointee.backendWire == .grpc
        let limit = replica.snapshot.maxRequestBytes
        let turn = shared.offload == nil ? limit : min(limit, Worker.turnMaximum)
        let result = unsafe MessageDecoding.decode(
            flow.pointee.cache.captured.bytes,
            coding,
            isMessage: isMessage,
            limit: turn,
            pool: buffers
        )
        guard case .failure(.tooLarge) = result, turn < limit else {
            unsafe decodedAnswer(flow, coding, result)
            return
        }
        unsafe offload(flow, .answer, on: .captured) { _, body in
            unsafe Handed(
                MessageDecoding.decode(
                    body,
                    coding,
                    isMessage: isMessage,
                    limit: limit,
                    pool: BufferPool(retainedMaximum: 0)
                )
            )
        } then: { worker, flow, result in
            guard let flow = unsafe flow else {
                if case .success(var body) = result { body.release(to: worker.buffers) }
                return
            }
            unsafe worker.decodedAnswer(flow, coding, result)
        }
    }

    private func decodedAnswer(
        _ flow: FlowPointer,
        _ coding: ContentCoding,
        _ result: Result<PooledBytes, InflateFailure>
    ) {
        switch result {
        case .success(let body):
            countDecoding(.answer, coding, .decoded)
            unsafe putAnswer(flow, body)
            unsafe translatedGathered(flow)
        case .failure(let failure):
            countDecoding(.answer, coding, DecodingMetrics.Outcome(failure))
            unsafe refuse(flow, .answerUndecodable(failure, coding))
        }
    }

    private func putAnswer(_ flow: FlowPointer, _ body: PooledBytes) {
        unsafe flow.pointee.cache.captured.release(to: buffers)
        unsafe flow.pointee.cache.captured = body
        unsafe flow.pointee.cache.answerCoding = nil
    }

    /// Decodes a short answer that was captured, so that it can be kept; false when it can't be, or is too long for
    /// the loop.
    func decodeCaptured(_ flow: FlowPointer, _ coding: ContentCoding, limit: Int) -> Bool {
        let result = unsafe MessageDecoding.decode(
            flow.pointee.cache.captured.bytes,
            coding,
            isMessage: flow.spoken == .grpc,
            limit: min(limit, Worker.turnMaximum),
            pool: buffers
        )
        guard case .success(let body) = result else { return false }
        countDecoding(.answer, coding, .decoded)
        unsafe putAnswer(flow, body)
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
