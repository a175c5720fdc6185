import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress

// A backend may know the model by another name, and nothing of our path prefixes.
extension Worker {
    /// Drops `/serving/{namespace}/{name}` from the path.
    func rewritePath(_ head: FieldBlock, _ request: Request) {
        guard let path = unsafe head.first(.path) else { return }
        let rest = unsafe [UInt8](path.dropFirst(request.pointee.prefixLength))
        unsafe rest.withUnsafeBytes { unsafe head.set(.path, $0) }
        let shift = unsafe request.pointee.prefixLength
        unsafe request.pointee.modelStart -= shift
        unsafe request.pointee.modelEnd -= shift
        unsafe request.pointee.prefixLength = 0
    }

    /// Puts the name the backend knows the model by into a REST path.
    func renameModel(_ head: FieldBlock, _ request: Request) {
        // A translated request's path is ours, and has the right name already.
        guard unsafe request.pointee.callerProtocol != .grpc,
            unsafe request.backendProtocol == request.pointee.callerProtocol,
            let name = unsafe request.pointee.revision?._withUnsafeGuaranteedRef({
                $0.plan.backendModelName
            }),
            let path = unsafe head.first(.path)
        else { return }
        var renamed = unsafe [UInt8](path[..<request.pointee.modelStart])
        renamed.append(contentsOf: PathSegment.escaped(name).utf8)
        unsafe renamed.append(contentsOf: path[request.pointee.modelEnd...])
        unsafe renamed.withUnsafeBytes { unsafe head.set(.path, $0) }
    }

    /// Puts that name into a gRPC message; false when it can't be done and the request is refused.
    func renameMessage(_ request: Request, _ head: FieldBlock) -> Bool {
        guard unsafe request.pointee.callerProtocol == .grpc, unsafe !request.pointee.isTranslated,
            let name = unsafe request.pointee.revision?._withUnsafeGuaranteedRef({
                $0.plan.backendModelName
            }),
            unsafe !request.pointee.retry.isPrepared
        else { return true }
        guard unsafe !request.pointee.method.isStreaming else {
            unsafe replyWithError(
                request,
                .unimplemented(
                    "the model is called '\(name)' at this revision's backends, and messages of a stream aren't renamed"
                )
            )
            return false
        }
        var beginning = unsafe [UInt8](request.pointee.buffered.bytes)
        unsafe beginning += request.pointee.pendingChunk
        let renamed = unsafe beginning.withUnsafeBytes {
            unsafe ModelRename.replace(
                in: $0,
                field: request.pointee.method.modelField ?? 1,
                with: name
            )
        }
        guard let renamed else {
            unsafe replyWithError(
                request,
                .badRequest(
                    "the model is called '\(name)' at this revision's backends, and the message's beginning doesn't name it"
                )
            )
            return false
        }
        // What came counts as taken from here on, and what goes out instead is ours.
        unsafe request.pointee.exchange.consumed(
            max(0, beginning.count - request.pointee.acknowledged)
        )
        unsafe request.pointee.acknowledged = renamed.count
        unsafe request.pointee.buffered.release(to: buffers)
        unsafe request.pointee.pendingChunk = UnsafeRawBufferPointer(start: nil, count: 0)
        unsafe renamed.withUnsafeBytes { unsafe request.pointee.buffered.append($0, pool: buffers) }
        if let length = head.index(of: .contentLength) { head.remove(at: length) }
        return true
    }
}
