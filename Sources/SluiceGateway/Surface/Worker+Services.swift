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
    // Messages of these calls are names; anything longer is somebody's mistake.
    private static let messageMaximum = 64 << 10

    func answeringBegan(_ flow: FlowPointer) {
        if unsafe flow.pointee.hasRequestEnded { unsafe answeringContinued(flow) }
    }

    /// Takes whole messages out of what has arrived, and answers each.
    func answeringContinued(_ flow: FlowPointer) {
        let method = unsafe flow.pointee.method
        while true {
            let held = unsafe flow.pointee.held.bytes
            guard held.count >= 5 else { break }
            let coding = unsafe flow.pointee.head.flatMap { NamedCoding($0, .grpcEncoding).coding }
            guard unsafe held[0] == 0 || held[0] == 1 && coding != nil else {
                let refusal = unsafe Refusal.compressedMessage(flow.pointee.head)
                unsafe replyStatus(
                    flow,
                    refusal.grpc,
                    refusal.sentence,
                    wantsKnownCoding: refusal.wantsKnownCoding
                )
                return
            }
            let length = unsafe Int(
                UInt32(bigEndian: held.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
            )
            guard length <= Worker.messageMaximum else {
                unsafe replyStatus(
                    flow,
                    .resourceExhausted,
                    "received message larger than max (\(length) vs. \(Worker.messageMaximum))"
                )
                return
            }
            guard held.count >= 5 + length else { break }
            let frame = unsafe UnsafeRawBufferPointer(rebasing: held[..<(5 + length)])
            guard let message = unsafe message(flow, frame, coding) else { return }
            unsafe flow.pointee.held.consume(5 + length, pool: buffers)
            guard unsafe answerMessage(flow, method, message) else { return }
        }
        guard unsafe flow.pointee.hasRequestEnded else { return }
        if method == .healthWatch, unsafe watchers[UnsafeMutableRawPointer(flow)] != nil { return }
        if method.isStreaming {
            unsafe beginMessages(flow)
            unsafe replyStatus(flow, .ok, "")
        } else {
            unsafe replyStatus(
                flow,
                .invalidArgument,
                "the gRPC request ended before its message was complete"
            )
        }
    }

    /// The message in a frame, decoded if it is compressed; nil when the call was ended.
    private func message(
        _ flow: FlowPointer,
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
            let refusal = Refusal.undecodable(failure, coding)
            unsafe replyStatus(flow, refusal.grpc, refusal.sentence)
            return nil
        }
    }

    /// Answers one message; false when the flow is over.
    private func answerMessage(
        _ flow: FlowPointer,
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
                unsafe refuse(flow, .unknownModel(name))
                return false
            }
            answer.bool(field: 1, model.isReady)
        case .repositoryIndex:
            for model in replica.models {
                answer.message(field: 1) { row in
                    row.string(field: 1, model.plan.name)
                    row.string(field: 3, model.isReady ? "READY" : "UNAVAILABLE")
                }
            }
        case .healthCheck:
            let service = stringField(1, of: message)
            guard let status = serviceStatus(service) else {
                unsafe replyStatus(flow, .notFound, "unknown service '\(service)'")
                return false
            }
            answer.varint(field: 1, UInt64(status))
        case .healthList:
            for service in [""] + Worker.serviceNames + replica.models.map(\.plan.name) {
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
            unsafe watchers[UnsafeMutableRawPointer(flow)] = (service, status)
            unsafe flow.pointee.isListed = true
            armWatchTimer()
            answer.varint(field: 1, UInt64(status))
        case .reflection, .reflectionAlpha:
            answer.bytes = ReflectionService.answer(message)
        default:
            unsafe replyStatus(flow, .unimplemented, "no such method here")
            return false
        }
        unsafe beginMessages(flow)
        unsafe sendMessage(flow, answer.bytes)
        guard !method.isStreaming else { return true }
        unsafe replyStatus(flow, .ok, "")
        return false
    }

    private func beginMessages(_ flow: FlowPointer) {
        guard unsafe !flow.pointee.hasResponseBegun else { return }
        unsafe flow.pointee.hasResponseBegun = true
        unsafe flow.pointee.firstByte = loop.now
        let head = blocks.take()
        head.append(status: 200)
        head.append(.contentType, "application/grpc")
        unsafe head.append(.requestID, requestID(of: flow), isVolatile: true)
        unsafe flow.pointee.exchange.sendHead(head, endStream: false)
    }

    private func sendMessage(_ flow: FlowPointer, _ message: [UInt8]) {
        var framed: [UInt8] = [0]
        let length = UInt32(message.count)
        for shift in [24, 16, 8, 0] { framed.append(UInt8(truncatingIfNeeded: length >> shift)) }
        framed.append(contentsOf: message)
        unsafe flow.pointee.responseBytes += framed.count
        unsafe framed.withUnsafeBytes {
            unsafe _ = flow.pointee.exchange.send($0, endStream: false)
        }
    }

    private func model(named name: String) -> WorkerModel? {
        let bytes = Array(name.utf8)
        return unsafe bytes.withUnsafeBytes {
            unsafe replica.model(named: $0)?.takeUnretainedValue()
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
            unsafe sendMessage(key.assumingMemoryBound(to: Flow.self), answer.bytes)
        }
    }
}
