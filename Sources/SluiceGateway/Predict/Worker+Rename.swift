import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress

// A backend may know the model by another name, and nothing of our path prefixes.
extension Worker {
    /// Drops `/serving/{namespace}/{name}` from the path.
    func rewritePath(_ head: FieldBlock, _ flow: FlowPointer) {
        guard let path = unsafe head.first(.path) else { return }
        let rest = unsafe [UInt8](path.dropFirst(flow.pointee.prefixLength))
        unsafe rest.withUnsafeBytes { unsafe head.set(.path, $0) }
        let shift = unsafe flow.pointee.prefixLength
        unsafe flow.pointee.modelStart -= shift
        unsafe flow.pointee.modelEnd -= shift
        unsafe flow.pointee.prefixLength = 0
    }

    /// Puts the name the backend knows the model by into a REST path.
    func renameModel(_ head: FieldBlock, _ flow: FlowPointer) {
        // A translated request's path is ours, and has the right name already.
        guard unsafe flow.pointee.wire != .grpc, unsafe flow.spoken == flow.pointee.wire,
            let name = unsafe flow.pointee.revision?._withUnsafeGuaranteedRef({
                $0.plan.backendModelName
            }),
            let path = unsafe head.first(.path)
        else { return }
        var renamed = unsafe [UInt8](path[..<flow.pointee.modelStart])
        renamed.append(contentsOf: PathSegment.escaped(name).utf8)
        unsafe renamed.append(contentsOf: path[flow.pointee.modelEnd...])
        unsafe renamed.withUnsafeBytes { unsafe head.set(.path, $0) }
    }

    /// Puts that name into a gRPC message; false when it can't be done and the request is refused.
    func renameMessage(_ flow: FlowPointer, _ head: FieldBlock) -> Bool {
        guard unsafe flow.pointee.wire == .grpc, unsafe !flow.pointee.isTranslated,
            let name = unsafe flow.pointee.revision?._withUnsafeGuaranteedRef({
                $0.plan.backendModelName
            }),
            unsafe !flow.pointee.retry.isPrepared
        else { return true }
        guard unsafe !flow.pointee.method.isStreaming else {
            unsafe refuse(
                flow,
                .unimplemented(
                    "the model is called '\(name)' at this revision's backends, and messages of a stream aren't renamed"
                )
            )
            return false
        }
        var beginning = unsafe [UInt8](flow.pointee.held.bytes)
        unsafe beginning += flow.pointee.offered
        let renamed = unsafe beginning.withUnsafeBytes {
            unsafe ModelRename.replace(
                in: $0,
                field: flow.pointee.method.modelField ?? 1,
                with: name
            )
        }
        guard let renamed else {
            unsafe refuse(
                flow,
                .badRequest(
                    "the model is called '\(name)' at this revision's backends, and the message's beginning doesn't name it"
                )
            )
            return false
        }
        // What came counts as taken from here on, and what goes out instead is ours.
        unsafe flow.pointee.exchange.consumed(max(0, beginning.count - flow.pointee.credited))
        unsafe flow.pointee.credited = renamed.count
        unsafe flow.pointee.held.release(to: buffers)
        unsafe flow.pointee.offered = UnsafeRawBufferPointer(start: nil, count: 0)
        unsafe renamed.withUnsafeBytes { unsafe flow.pointee.held.append($0, pool: buffers) }
        if let length = head.index(of: .contentLength) { head.remove(at: length) }
        return true
    }
}
