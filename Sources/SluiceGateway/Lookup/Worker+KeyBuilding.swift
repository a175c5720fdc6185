import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceInference

// What a request is known by in the cache, and what its caller wants of an answer.
extension Worker {
    /// Calls `body` with all of the request's key that doesn't come from its body; nil when it has none.
    ///
    /// The only place where a request's context is made: what two requests may not share an answer over
    /// is said here.
    @inline(__always)
    func withKeyContext<Value>(
        of request: Request,
        _ body: (KeyContext) -> Value?
    ) -> Value? {
        guard let model = unsafe request.pointee.model,
            let revision = unsafe request.pointee.revision
        else { return nil }
        return unsafe model._withUnsafeGuaranteedRef { model in
            unsafe revision._withUnsafeGuaranteedRef { revision in
                unsafe withPathVersion(request) { version in
                    unsafe body(
                        KeyContext(
                            model: model.name.bytes,
                            revision: revision.identity.bytes,
                            version: version,
                            revisionNumber: revision.number
                        )
                    )
                }
            }
        }
    }

    /// Calls `body` with the model's version in a REST path, or with nothing.
    @inline(__always)
    private func withPathVersion<Value>(
        _ request: Request,
        _ body: (UnsafeRawBufferPointer) -> Value?
    ) -> Value? {
        // A gRPC message has its version in itself.
        guard unsafe request.pointee.callerProtocol != .grpc,
            let head = unsafe request.pointee.head, let path = unsafe head.first(.path)
        else { return unsafe body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        let version = unsafe UnsafeRawBufferPointer(rebasing: path[InferencePath(path).version])
        guard unsafe version.contains(ASCII.percent) else { return unsafe body(version) }
        return unsafe InferencePath.name(version).withUnsafeBytes { unsafe body($0) }
    }

    /// How the request's body is to be read for its key; nil when it can't have one.
    func keyReader(of request: Request) -> KeyBuilder.Reader? {
        guard let form = unsafe form(of: request), let head = unsafe request.pointee.head else {
            return nil
        }
        // gRPC's length is in its frame.
        let length = form == .grpc ? nil : requestHeaderLength(head)
        // 0 is a raw request, which only the model's signature explains.
        if length == 0 { return nil }
        return unsafe KeyBuilder.Reader(
            form: form,
            headerLength: length,
            meaning: meaning(of: request, form)
        )
    }

    /// The key of a request that lies there whole, if it is one of the usual ones.
    func scannedKey(_ request: Request, _ bytes: UnsafeRawBufferPointer) -> CacheKey? {
        guard let reader = unsafe keyReader(of: request) else { return nil }
        return unsafe withKeyContext(of: request) {
            unsafe codec.keys.scannedKey(bytes, reader, $0)
        }
    }

    /// The request's key, and what its answer must look like; nil when it can't be cached.
    func cacheable(of request: Request) -> (key: CacheKey, responseFormat: ResponseFormat)? {
        guard let reader = unsafe keyReader(of: request) else { return nil }
        return unsafe withKeyContext(of: request) {
            unsafe codec.keys.read(request.pointee.body.buffered.bytes, reader, $0)
        }
    }

    /// What V1 means to the revision's backends, where they speak V2 and their signature is known.
    func meaning(of request: Request, _ form: ResponseFormat.APIForm) -> V1Meaning? {
        guard form == .v1 else { return nil }
        return unsafe request.pointee.revision?._withUnsafeGuaranteedRef { revision in
            guard revision.form(for: .v1) != .v1 else { return nil }
            return revision.plan.signature.signature.map {
                V1Meaning(signature: $0, runtimeKind: revision.plan.runtimeKind)
            }
        }
    }

    /// How a V1 backend's answer to a caller of V2 is read, so that all of those get it; nil for any other.
    func meaning(of request: Request) -> PredictCodec.AnswerOrder? {
        guard unsafe request.backendProtocol == .v1, unsafe request.pointee.callerProtocol != .v1
        else { return nil }
        return unsafe responseFormat(of: request).map { unsafe answerOrder(request, $0) }
    }

    /// `inference-header-content-length` of a request, if it says one.
    func requestHeaderLength(_ head: FieldBlock) -> Int? {
        unsafe head.first(.inferenceHeaderContentLength).flatMap { unsafe ASCII.decimal($0) }
    }

    /// The model's version in a REST path, or "".
    func pathVersion(_ head: FieldBlock) -> String {
        guard let path = unsafe head.first(.path) else { return "" }
        let range = unsafe InferencePath(path).version
        return unsafe String(
            decoding: InferencePath.name(UnsafeRawBufferPointer(rebasing: path[range])),
            as: UTF8.self
        )
    }

    func form(of request: Request) -> ResponseFormat.APIForm? {
        switch unsafe request.pointee.callerProtocol {
        case .v1: .v1
        case .v2: .v2
        case .grpc: .grpc
        case .other: nil
        }
    }

    // MARK: - What its caller wants of an answer

    /// Reads once more what the caller wants of its answer, unless that is known.
    ///
    /// Only while the request is held: when it has been sent on, it is gone.
    func makeCacheable(_ request: Request) {
        guard unsafe request.lookup.pointee.cacheable == nil,
            let reader = unsafe keyReader(of: request)
        else { return }
        let isScanned = unsafe withPathVersion(request) { version -> Bool? in
            unsafe codec.keys.scan(request.pointee.body.buffered.bytes, reader, version: version)
        }
        guard
            let responseFormat = isScanned == true
                ? codec.keys.scan.responseFormat : unsafe cacheable(of: request)?.responseFormat
        else {
            return
        }
        unsafe request.lookup.pointee.cacheable = .passRetained(CacheableRequest(responseFormat))
    }

    func responseFormat(of request: Request) -> ResponseFormat? {
        unsafe request.cacheable?._withUnsafeGuaranteedRef { $0.responseFormat }
    }

    func runtimeKind(of request: Request) -> RuntimeKind {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { $0.plan.runtimeKind }
            ?? .generic
    }

    func headerLength(_ value: Int) -> Int? { value < 0 ? nil : value }
}
