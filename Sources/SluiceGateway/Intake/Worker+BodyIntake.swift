import SluiceCore
import SluiceEgress
import SluiceGRPC
package import SluiceHTTP
import SluiceIO
package import SluiceIngress
import SluiceTelemetry

// The rest of a request arrives: a stage says where it goes.
extension Worker {
    // Body bytes held back while a gRPC message hasn't named its model yet.
    private static let routingHoldMaximum = 64 << 10

    // Body bytes a refused HTTP/1.1 request may still send before the refusal goes out.
    private static let errorReplyBodyMaximum = 1 << 20

    package func requestBody(
        _ exchange: Exchange,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) {
        guard let raw = unsafe exchange.context else { return }
        let request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        unsafe request.received(bytes.count)
        unsafe request.pointee.hasRequestEnded = endStream
        switch unsafe request.pointee.stage {
        case .routing:
            if unsafe prefetched?.request == request { prefetchAnswer() }
            guard unsafe scan(request, bytes) else { return }
            let scanner = unsafe request.scanner.pointee
            if scanner.isCompressed {
                unsafe gatherCompressed(request, bytes, endStream: endStream)
                return
            }
            if scanner.isRouted {
                let name = unsafe UnsafeRawBufferPointer(
                    start: request.modelNamePlace,
                    count: scanner.nameCount
                )
                if endStream && !scanner.isComplete {
                    unsafe truncated(request)
                    return
                }
                // It may be over when that returns.
                unsafe routeGRPC(request, name, bytes)
            } else if endStream {
                unsafe truncated(request)
            } else if unsafe request.pointee.body.buffered.count + bytes.count
                > Worker.routingHoldMaximum
            {
                unsafe replyWithError(
                    request,
                    .badRequest("model_name must come within the message's first 64 KiB")
                )
            } else {
                unsafe request.pointee.body.buffered.append(bytes, pool: buffers)
            }
        case .gathering:
            guard unsafe allows(request, bytes, endStream: endStream) else { return }
            unsafe gather(request, bytes, endStream: endStream)
        case .waiting: exchange.consumed(bytes.count)
        case .connecting:
            guard unsafe allows(request, bytes, endStream: endStream) else { return }
            if unsafe request.pointee.isMirrored {
                unsafe mirrorBody(request, bytes, endStream: endStream)
            }
            unsafe request.pointee.body.buffered.append(bytes, pool: buffers)
        case .relaying:
            guard unsafe allows(request, bytes, endStream: endStream) else { return }
            if unsafe request.pointee.isMirrored {
                unsafe mirrorBody(request, bytes, endStream: endStream)
            }
            unsafe relayRequest(request, bytes, endStream: endStream)
        case .answering:
            unsafe request.pointee.body.buffered.append(bytes, pool: buffers)
            exchange.consumed(bytes.count)
            unsafe answeringContinued(request)
        case .failing:
            exchange.consumed(bytes.count)
            if unsafe endStream || request.pointee.requestBytes > Worker.errorReplyBodyMaximum {
                unsafe sendErrorReply(request)
            }
        }
    }

    /// Whether these bytes may go on: a body within its bounds, or a gRPC message as it should be.
    @inline(__always)
    private func allows(
        _ request: Request,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) -> Bool {
        guard unsafe request.pointee.callerProtocol == .grpc else {
            let limit = workerSnapshot.snapshot.maxRequestBytes
            if unsafe request.pointee.requestBytes <= limit { return true }
            unsafe replyWithError(request, .bodyTooLarge(limit: limit))
            return false
        }
        guard unsafe scan(request, bytes) else { return false }
        guard endStream, unsafe !request.scanner.pointee.isComplete else { return true }
        unsafe truncated(request)
        return false
    }

    /// Follows the body with the scanner; true when the bytes may go on.
    func scan(_ request: Request, _ bytes: UnsafeRawBufferPointer) -> Bool {
        switch unsafe request.scanner.pointee.scan(bytes, name: request.modelNamePlace) {
        case .needMore, .routed: return true
        case .failed(let failure):
            let (scanner, head) = unsafe (request.scanner.pointee, request.pointee.head)
            unsafe replyWithError(
                request,
                .unroutable(failure, scanner, workerSnapshot.snapshot, head)
            )
            return false
        }
    }

    /// Routes a gRPC request by its model's name; `chunk` is the part of its body that has come just now.
    func routeGRPC(
        _ request: Request,
        _ name: UnsafeRawBufferPointer,
        _ chunk: UnsafeRawBufferPointer = unsafe .empty
    ) {
        guard
            let model = unsafe request.pointee.workerSnapshot._withUnsafeGuaranteedRef({
                unsafe $0.model(named: name)
            })
        else {
            unsafe replyWithError(
                request,
                name.isEmpty
                    ? .badRequest("the message names no model (model_name is empty)")
                    : .unknownModel(String(decoding: name, as: UTF8.self))
            )
            return
        }
        unsafe request.pointee.model = model
        // A stream may live as long as both sides like; a single call may not.
        if unsafe !request.pointee.method.isStreaming {
            let own = unsafe request.pointee.timeout
            let limit = unsafe model._withUnsafeGuaranteedRef { $0.timeout }
            unsafe request.pointee.timeout = own == 0 ? limit : min(own, limit)
            if limit < own { unsafe armDeadline(request) }
        }
        unsafe routed(request, chunk)
    }

    func truncated(_ request: Request) {
        unsafe replyWithError(
            request,
            .badRequest("the gRPC request ended before its message was complete")
        )
    }

    package func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock) {
        guard let raw = unsafe exchange.context else {
            blocks.give(trailers)
            return
        }
        let request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        unsafe request.pointee.hasRequestEnded = true
        switch unsafe request.pointee.stage {
        case .relaying:
            guard
                unsafe request.pointee.callerProtocol != .grpc || request.scanner.pointee.isComplete
            else {
                blocks.give(trailers)
                unsafe truncated(request)
                return
            }
            unsafe mirrorEnded(request)
            unsafe request.pointee.body.ended = loop.now
            // Sent once more it would go without them.
            unsafe forget(request)
            unsafe endCall(request, with: trailers)
        case .connecting:
            unsafe mirrorEnded(request)
            unsafe request.pointee.body.trailers = trailers
        case .gathering:
            blocks.give(trailers)
            guard
                unsafe request.pointee.callerProtocol != .grpc || request.scanner.pointee.isComplete
            else {
                unsafe truncated(request)
                return
            }
            unsafe gathered(request)
        case .waiting: blocks.give(trailers)
        case .routing:
            blocks.give(trailers)
            unsafe truncated(request)
        case .answering:
            blocks.give(trailers)
            unsafe answeringContinued(request)
        case .failing:
            blocks.give(trailers)
            unsafe sendErrorReply(request)
        }
    }

    package func requestAborted(_ exchange: Exchange, _ reason: AbortReason) {
        guard let raw = unsafe exchange.context else { return }
        let request = unsafe raw.assumingMemoryBound(to: RequestRecord.self)
        unsafe exchange.context = nil
        unsafe request.pointee.reason =
            switch reason {
            case .clientGone: .clientGone
            case .protocolError: .protocolError
            case .tooSlow: .idleTimeout
            case .drained: .draining
            }
        if unsafe request.pointee.status == 0 { unsafe request.pointee.status = 499 }
        if unsafe request.pointee.callerProtocol == .grpc { unsafe request.pointee.grpcStatus = 1 }
        unsafe end(request)
    }
}
