import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceInference

// What a request is known by in the cache, and what its caller wants of an answer.
extension Worker {
    /// The key of a request that lies there whole, if it is one of the usual ones.
    func scannedKey(
        _ request: Request,
        _ bytes: UnsafeRawBufferPointer,
        _ form: ResponseFormat.APIForm
    ) -> CacheKey? {
        guard let model = unsafe request.pointee.model,
            let revision = unsafe request.pointee.revision,
            let head = unsafe request.pointee.head
        else { return nil }
        var version = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var length: Int?
        if form == .v2 {
            length = requestHeaderLength(head)
            // 0 is a raw request, which only the model's signature explains.
            guard length != 0, let path = unsafe head.first(.path) else { return nil }
            unsafe version = UnsafeRawBufferPointer(rebasing: path[InferencePath(path).version])
            guard unsafe !version.contains(ASCII.percent) else { return nil }
        }
        return unsafe model._withUnsafeGuaranteedRef { model in
            unsafe revision._withUnsafeGuaranteedRef { revision in
                unsafe codec.scannedKey(
                    bytes,
                    form,
                    headerLength: length,
                    model: model.name.bytes,
                    version: version,
                    revision: revision.identity
                )
            }
        }
    }

    /// The request's key, and what its answer must look like; nil when it can't be cached.
    func cacheable(of request: Request) -> (key: CacheKey, responseFormat: ResponseFormat)? {
        guard let order = unsafe keyOrder(of: request) else { return nil }
        return unsafe codec.read(request.pointee.body.buffered.bytes, order, byRows: false).whole
    }

    /// What keys of the request are made of beside its body; nil when it can't have one.
    func keyOrder(of request: Request) -> PredictCodec.KeyOrder? {
        guard let form = unsafe form(of: request), let model = unsafe request.pointee.model,
            let revision = unsafe request.pointee.revision, let head = unsafe request.pointee.head
        else { return nil }
        let length = requestHeaderLength(head)
        // 0 is a raw request, which only the model's signature explains.
        if length == 0 { return nil }
        return unsafe PredictCodec.KeyOrder(
            form: form,
            headerLength: length,
            model: model._withUnsafeGuaranteedRef { $0.plan.name },
            version: pathVersion(head),
            revision: revision._withUnsafeGuaranteedRef { $0.identity },
            meaning: meaning(of: request, form)
        )
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
        guard unsafe request.lookup.pointee.cacheable == nil, let form = unsafe form(of: request),
            let head = unsafe request.pointee.head
        else { return }
        var version = pathVersion(head)
        let isScanned = version.withUTF8 {
            unsafe codec.scan(
                request.pointee.body.buffered.bytes,
                form,
                headerLength: requestHeaderLength(head),
                version: UnsafeRawBufferPointer($0)
            )
        }
        guard
            let responseFormat = isScanned
                ? codec.scan.responseFormat : unsafe cacheable(of: request)?.responseFormat
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
