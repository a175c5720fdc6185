import SluiceBalancing
import SluiceCore
package import SluiceEgress
import SluiceIO
import SluiceIngress
import SluiceTelemetry

// There is a connection, or there is none: what is held of the request goes out, or elsewhere.
extension Worker {
    package func callReady(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        unsafe begin(context.assumingMemoryBound(to: RequestRecord.self), on: connection, .empty)
    }

    package func connectFailed(_ context: UnsafeMutableRawPointer, _ failure: CallFailure) {
        let request = unsafe context.assumingMemoryBound(to: RequestRecord.self)
        if unsafe request.pointee.isHedged {
            var outcome = BackendOutcome.unknown
            if case .connectFailed = failure { outcome = .connectFailed }
            unsafe copyFailed(request, outcome)
            return
        }
        unsafe classifyFailed(request)
        if case .connectFailed = failure { unsafe request.pointee.attempt.outcome = .connectFailed }
        unsafe unprocessed(request)
    }

    /// Nothing has reached the backend, so another may be tried.
    func unprocessed(_ request: Request) {
        unsafe leaveBackend(request)
        unsafe request.pointee.attempt.call = nil
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            shard.add($0.metrics.retries(reason: "connect"))
        }
        unsafe attempt(request)
    }

    /// Sends the head and whatever body has been held back.
    func begin(
        _ request: Request,
        on connection: ClientConnection,
        _ arrived: UnsafeRawBufferPointer
    ) {
        guard let head = unsafe request.pointee.head, let revision = unsafe request.pointee.revision
        else { return }
        var chunk = unsafe arrived
        if unsafe revision._withUnsafeGuaranteedRef({ $0.plan.backendModelName != nil }),
            unsafe !renameMessage(request, head, &chunk)
        {
            return
        }
        let heldCount = unsafe request.pointee.body.buffered.count + chunk.count
        let keeps = unsafe revision._withUnsafeGuaranteedRef {
            unsafe isWorthKeeping(request, $0, connection, heldCount)
        }
        unsafe request.pointee.retry.isKept = keeps
        let keepsBody =
            unsafe keeps
            || revision._withUnsafeGuaranteedRef { unsafe isWorthALook(request, $0, heldCount) }
        unsafe request.pointee.retry.keepsBody = keepsBody
        if !keeps { unsafe request.pointee.head = nil }
        let ended = unsafe request.pointee.hasRequestEnded
        let isBare = unsafe ended && heldCount == 0 && request.pointee.body.trailers == nil
        unsafe request.pointee.stage = .relaying
        unsafe request.pointee.attempt.sent = loop.now
        guard let call = unsafe beginCall(request, head, on: connection, endStream: isBare) else {
            return
        }
        unsafe request.pointee.attempt.call = call
        let tryTimeout = unsafe revision._withUnsafeGuaranteedRef { $0.balance.tryTimeout }
        if tryTimeout > 0 { unsafe armTryTimer(request, tryTimeout) }
        if keeps, let policy = unsafe revision._withUnsafeGuaranteedRef({ $0.balance.hedge }) {
            unsafe armHedge(request, policy)
        }
        guard !isBare else { return }
        unsafe request.sendContinue()
        let trailers = unsafe request.pointee.body.trailers
        unsafe request.pointee.body.trailers = nil
        let endsBody = ended && trailers == nil
        var sent = 0
        if unsafe !request.pointee.body.buffered.isEmpty {
            var buffered = unsafe request.pointee.body.buffered
            unsafe request.pointee.body.buffered = PooledBytes()
            unsafe sent += call.send(buffered.bytes, endStream: endsBody && chunk.isEmpty)
            if keepsBody {
                unsafe request.replay.pointee.body = buffered
            } else {
                buffered.release(to: buffers)
            }
        }
        if unsafe !chunk.isEmpty {
            unsafe sent += call.send(chunk, endStream: endsBody)
            if keepsBody { unsafe storeForRetry(request, chunk) }
        }
        unsafe noteWaiting(request, heldCount - sent)
        unsafe credit(request, sent)
        if let trailers { unsafe endCall(request, with: trailers) }
    }
}
