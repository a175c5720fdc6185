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
    private static let refusalPatience = 1 << 20

    package func requestBody(
        _ exchange: Exchange,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) {
        guard let raw = unsafe exchange.user else { return }
        let flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        unsafe flow.pointee.requestBytes += bytes.count
        unsafe flow.pointee.hasRequestEnded = endStream
        switch unsafe flow.pointee.stage {
        case .routing:
            if unsafe foreseen?.flow == flow { fetchForeseenAnswer() }
            guard unsafe scan(flow, bytes) else { return }
            let scanner = unsafe flow.pointee.scanner
            if scanner.isCompressed {
                unsafe gatherCompressed(flow, bytes, endStream: endStream)
                return
            }
            if scanner.isRouted {
                let name = unsafe UnsafeRawBufferPointer(
                    start: flow.pointee.scratch.baseAddress,
                    count: scanner.nameCount
                )
                if endStream && !scanner.isComplete {
                    unsafe truncated(flow)
                    return
                }
                unsafe flow.pointee.offered = bytes
                unsafe routeGRPC(flow, name)
                // The flow may be over by now.
                guard unsafe exchange.user == raw, unsafe !flow.pointee.offered.isEmpty else {
                    return
                }
                unsafe flow.pointee.offered = UnsafeRawBufferPointer(start: nil, count: 0)
                if unsafe flow.pointee.stage == .connecting {
                    unsafe flow.pointee.held.append(bytes, pool: buffers)
                } else if unsafe flow.pointee.stage == .gathering {
                    unsafe gather(flow, bytes, endStream: endStream)
                } else {
                    exchange.consumed(bytes.count)
                }
            } else if endStream {
                unsafe truncated(flow)
            } else if unsafe flow.pointee.held.count + bytes.count > Worker.routingHoldMaximum {
                unsafe refuse(
                    flow,
                    .badRequest("model_name must come within the message's first 64 KiB")
                )
            } else {
                unsafe flow.pointee.held.append(bytes, pool: buffers)
            }
        case .gathering:
            guard unsafe allows(flow, bytes, endStream: endStream) else { return }
            unsafe gather(flow, bytes, endStream: endStream)
        case .waiting: exchange.consumed(bytes.count)
        case .connecting:
            if unsafe flow.pointee.wire == .grpc, unsafe !scan(flow, bytes) { return }
            if unsafe flow.pointee.mirror != nil {
                unsafe mirrorBody(flow, bytes, endStream: endStream)
            }
            unsafe flow.pointee.held.append(bytes, pool: buffers)
        case .relaying:
            guard unsafe allows(flow, bytes, endStream: endStream) else { return }
            if unsafe flow.pointee.mirror != nil {
                unsafe mirrorBody(flow, bytes, endStream: endStream)
            }
            unsafe relayRequest(flow, bytes, endStream: endStream)
        case .answering:
            unsafe flow.pointee.held.append(bytes, pool: buffers)
            exchange.consumed(bytes.count)
            unsafe answeringContinued(flow)
        case .refusing:
            exchange.consumed(bytes.count)
            if unsafe endStream || flow.pointee.requestBytes > Worker.refusalPatience {
                unsafe sendRefusal(flow)
            }
        }
    }

    /// Whether these bytes may go on: a body within its bounds, or a gRPC message as it should be.
    @inline(__always)
    private func allows(
        _ flow: FlowPointer,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) -> Bool {
        guard unsafe flow.pointee.wire == .grpc else {
            let limit = replica.snapshot.maxRequestBytes
            if unsafe flow.pointee.requestBytes <= limit { return true }
            unsafe refuse(flow, .bodyTooLarge(limit: limit))
            return false
        }
        guard unsafe scan(flow, bytes) else { return false }
        guard endStream, unsafe !flow.pointee.scanner.isComplete else { return true }
        unsafe truncated(flow)
        return false
    }

    /// Follows the body with the scanner; true when the bytes may go on.
    private func scan(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let name =
            unsafe (flow.pointee.scratch.baseAddress.unsafelyUnwrapped
            + FlowScratch.modelName).assumingMemoryBound(to: UInt8.self)
        switch unsafe flow.pointee.scanner.scan(bytes, name: name) {
        case .needMore, .routed: return true
        case .failed(let failure):
            let (scanner, head) = unsafe (flow.pointee.scanner, flow.pointee.head)
            unsafe refuse(flow, .unroutable(failure, scanner, replica.snapshot, head))
            return false
        }
    }

    package func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock) {
        guard let raw = unsafe exchange.user else {
            blocks.give(trailers)
            return
        }
        let flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        unsafe flow.pointee.hasRequestEnded = true
        switch unsafe flow.pointee.stage {
        case .relaying:
            guard unsafe flow.pointee.wire != .grpc || flow.pointee.scanner.isComplete else {
                blocks.give(trailers)
                unsafe truncated(flow)
                return
            }
            unsafe mirrorEnded(flow)
            unsafe flow.pointee.clock.requestEnd = loop.now
            unsafe flow.pointee.call?.sendTrailers(trailers)
        case .connecting:
            unsafe mirrorEnded(flow)
            unsafe flow.pointee.heldTrailers = trailers
        case .gathering:
            blocks.give(trailers)
            guard unsafe flow.pointee.wire != .grpc || flow.pointee.scanner.isComplete else {
                unsafe truncated(flow)
                return
            }
            unsafe gathered(flow)
        case .waiting: blocks.give(trailers)
        case .routing:
            blocks.give(trailers)
            unsafe truncated(flow)
        case .answering:
            blocks.give(trailers)
            unsafe answeringContinued(flow)
        case .refusing:
            blocks.give(trailers)
            unsafe sendRefusal(flow)
        }
    }

    package func requestAborted(_ exchange: Exchange, _ reason: AbortReason) {
        guard let raw = unsafe exchange.user else { return }
        let flow = unsafe raw.assumingMemoryBound(to: Flow.self)
        unsafe exchange.user = nil
        unsafe flow.pointee.why =
            switch reason {
            case .clientGone: .clientGone
            case .protocolError: .protocolError
            case .tooSlow: .idleTimeout
            case .drained: .draining
            }
        if unsafe flow.pointee.status == 0 { unsafe flow.pointee.status = 499 }
        if unsafe flow.pointee.wire == .grpc { unsafe flow.pointee.grpcStatus = 1 }
        unsafe end(flow)
    }
}
