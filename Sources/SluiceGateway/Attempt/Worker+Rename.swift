import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress

// A backend may know the model by another name, and nothing of our path prefixes.
extension Worker {
    /// Drops `/serving/{namespace}/{name}` from the path.
    func rewritePath(_ head: FieldBlock, _ parts: inout PathParts) {
        guard let path = unsafe head.first(.path) else { return }
        let rest = unsafe [UInt8](path.dropFirst(Int(parts.prefixLength)))
        unsafe rest.withUnsafeBytes { unsafe head.set(.path, $0) }
        parts.removePrefix()
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
        let parts = unsafe request.pathParts.pointee
        var renamed = unsafe [UInt8](path[..<Int(parts.modelStart)])
        renamed.append(contentsOf: PathSegment.escaped(name).utf8)
        unsafe renamed.append(contentsOf: path[Int(parts.modelEnd)...])
        unsafe renamed.withUnsafeBytes { unsafe head.set(.path, $0) }
    }

    /// Puts that name into a gRPC message; false when it can't be done and the request is refused.
    ///
    /// What is renamed is held, with `chunk`, which is empty then.
    func renameMessage(
        _ request: Request,
        _ head: FieldBlock,
        _ chunk: inout UnsafeRawBufferPointer
    ) -> Bool {
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
        var beginning = unsafe [UInt8](request.pointee.body.buffered.bytes)
        unsafe beginning += chunk
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
            max(0, beginning.count - request.pointee.body.acknowledged)
        )
        unsafe request.pointee.body.acknowledged = renamed.count
        unsafe request.pointee.body.buffered.release(to: buffers)
        unsafe chunk = .empty
        unsafe renamed.withUnsafeBytes {
            unsafe request.pointee.body.buffered.append($0, pool: buffers)
        }
        if let length = head.index(of: .contentLength) { head.remove(at: length) }
        return true
    }
}
