import SluiceCompression
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry
import SluiceWire

// The gRPC calls the gateway answers itself: server and model readiness, metadata, the repository
// index, health checking and reflection.
extension Worker {
    // Messages of these calls are names; anything longer is a mistake.
    private static let messageMaximum = 64 << 10

    func answeringBegan(_ request: Request) {
        if unsafe request.pointee.hasRequestEnded { unsafe answeringContinued(request) }
    }

    /// Takes whole messages out of what has arrived, and answers each.
    func answeringContinued(_ request: Request) {
        let method = unsafe request.pointee.method
        while true {
            let buffered = unsafe request.pointee.body.buffered.bytes
            guard buffered.count >= 5 else { break }
            let coding = unsafe request.pointee.head.flatMap {
                NamedCoding($0, .grpcEncoding).coding
            }
            guard unsafe buffered[0] == 0 || buffered[0] == 1 && coding != nil else {
                let errorReply = unsafe ErrorReply.compressedMessage(request.pointee.head)
                unsafe replyStatus(
                    request,
                    errorReply.grpc,
                    errorReply.sentence,
                    wantsKnownCoding: errorReply.wantsKnownCoding
                )
                return
            }
            let length = unsafe Int(
                UInt32(bigEndian: buffered.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
            )
            guard length <= Worker.messageMaximum else {
                unsafe replyStatus(
                    request,
                    .resourceExhausted,
                    "received message larger than max (\(length) vs. \(Worker.messageMaximum))"
                )
                return
            }
            guard buffered.count >= 5 + length else { break }
            let frame = unsafe UnsafeRawBufferPointer(rebasing: buffered[..<(5 + length)])
            guard let message = unsafe message(request, frame, coding) else { return }
            unsafe request.pointee.body.buffered.consume(5 + length, pool: buffers)
            guard unsafe answerMessage(request, method, message) else { return }
        }
        guard unsafe request.pointee.hasRequestEnded else { return }
        if method == .healthWatch, unsafe watchers[UnsafeMutableRawPointer(request)] != nil {
            return
        }
        if method.isStreaming {
            unsafe beginMessages(request)
            unsafe replyStatus(request, .ok, "")
        } else {
            unsafe replyStatus(
                request,
                .invalidArgument,
                "the gRPC request ended before its message was complete"
            )
        }
    }

    /// The message in a frame, decoded if it is compressed; nil when the call was ended.
    private func message(
        _ request: Request,
        _ frame: UnsafeRawBufferPointer,
        _ coding: ContentCoding?
    ) -> [UInt8]? {
        guard let coding, unsafe MessageDecoding.isCompressed(frame) else {
            return unsafe [UInt8](frame.dropFirst(5))
        }
        let made = unsafe MessageDecoding.decode(
            frame,
            coding,
            isMessage: true,
            limit: Worker.messageMaximum,
            pool: buffers
        )
        switch made {
        case .success(var body):
            countDecoding(.request, coding, .decoded)
            defer { body.release(to: buffers) }
            return unsafe [UInt8](body.bytes.dropFirst(5))
        case .failure(let failure):
            countDecoding(.request, coding, DecodingMetrics.Outcome(failure))
            let errorReply = ErrorReply.undecodable(failure, coding)
            unsafe replyStatus(request, errorReply.grpc, errorReply.sentence)
            return nil
        }
    }

    /// Answers one message; false when the request is over.
    private func answerMessage(
        _ request: Request,
        _ method: GRPCMethod,
        _ message: [UInt8]
    ) -> Bool {
        var answer = WireWriter()
        switch method {
        case .serverLive: answer.bool(field: 1, true)
        case .serverReady: answer.bool(field: 1, isReady)
        case .serverMetadata:
            answer.string(field: 1, "sluice")
            answer.string(field: 2, shared.version)
            answer.string(field: 3, "model_repository")
        case .modelReady:
            let name = stringField(1, of: message)
            guard let model = model(named: name) else {
                unsafe replyWithError(request, .unknownModel(name))
                return false
            }
            answer.bool(field: 1, model.isReady)
        case .repositoryIndex:
            for model in workerSnapshot.models {
                answer.message(field: 1) { row in
                    row.string(field: 1, model.plan.name)
                    row.string(field: 3, model.isReady ? "READY" : "UNAVAILABLE")
                }
            }
        case .healthCheck:
            let service = stringField(1, of: message)
            guard let status = serviceStatus(service) else {
                unsafe replyStatus(request, .notFound, "unknown service '\(service)'")
                return false
            }
            answer.varint(field: 1, UInt64(status))
        case .healthList:
            for service in [""] + Worker.serviceNames + workerSnapshot.models.map(\.plan.name) {
                answer.message(field: 1) { entry in
                    entry.string(field: 1, service)
                    entry.message(field: 2) { value in
                        value.varint(field: 1, UInt64(serviceStatus(service) ?? 0))
                    }
                }
            }
        case .healthWatch:
            let service = stringField(1, of: message)
            let status = serviceStatus(service) ?? Health.serviceUnknown
            unsafe watchers[UnsafeMutableRawPointer(request)] = (service, status)
            unsafe request.pointee.isListed = true
            armWatchTimer()
            answer.varint(field: 1, UInt64(status))
        case .reflection, .reflectionAlpha:
            answer.bytes = ReflectionService.answer(message)
        default:
            unsafe replyStatus(request, .unimplemented, "no such method here")
            return false
        }
        unsafe beginMessages(request)
        unsafe sendMessage(request, answer.bytes)
        guard !method.isStreaming else { return true }
        unsafe replyStatus(request, .ok, "")
        return false
    }

    private func beginMessages(_ request: Request) {
        guard unsafe !request.pointee.hasResponseBegun else { return }
        unsafe request.pointee.hasResponseBegun = true
        unsafe request.pointee.attempt.firstByte = loop.now
        let head = blocks.take()
        head.append(status: 200)
        head.append(.contentType, "application/grpc")
        unsafe head.append(.requestID, request.requestID, isVolatile: true)
        unsafe request.pointee.exchange.sendHead(head, endStream: false)
    }

    private func sendMessage(_ request: Request, _ message: [UInt8]) {
        var framed: [UInt8] = [0]
        let length = UInt32(message.count)
        for shift in [24, 16, 8, 0] { framed.append(UInt8(truncatingIfNeeded: length >> shift)) }
        framed.append(contentsOf: message)
        unsafe request.pointee.responseBytes += framed.count
        unsafe framed.withUnsafeBytes {
            unsafe _ = request.pointee.exchange.send($0, endStream: false)
        }
    }

    private func model(named name: String) -> WorkerModel? {
        let bytes = Array(name.utf8)
        return unsafe bytes.withUnsafeBytes {
            unsafe workerSnapshot.model(named: $0)?.takeUnretainedValue()
        }
    }

    /// The last value of a string field, or "".
    private func stringField(_ number: Int, of message: [UInt8]) -> String {
        unsafe message.withUnsafeBytes { bytes in
            var reader = unsafe WireReader(bytes)
            var value = ""
            while let field = try? reader.nextField() {
                if field.number == number, case .bytes(let text) = field.value {
                    value = unsafe String(decoding: text, as: UTF8.self)
                }
            }
            return value
        }
    }

    // MARK: - grpc.health.v1

    private enum Health {
        static let serving = 1
        static let notServing = 2
        static let serviceUnknown = 3
    }

    private static let serviceNames = ["inference.GRPCInferenceService"]

    /// SERVING or NOT_SERVING of the server (""), a gRPC service, or a model; nil if unknown.
    private func serviceStatus(_ service: String) -> Int? {
        if service.isEmpty || Worker.serviceNames.contains(service) {
            return isReady ? Health.serving : Health.notServing
        }
        guard let model = model(named: service) else { return nil }
        return model.isReady ? Health.serving : Health.notServing
    }

    /// Sends every watcher whose service has changed its new status.
    func tellWatchers() {
        for unsafe(key, told) in unsafe watchers {
            let status = serviceStatus(told.service) ?? Health.serviceUnknown
            guard status != told.status else { continue }
            unsafe watchers[key] = (told.service, status)
            var answer = WireWriter()
            answer.varint(field: 1, UInt64(status))
            unsafe sendMessage(key.assumingMemoryBound(to: RequestRecord.self), answer.bytes)
        }
    }
}
