import SluiceCache
import SluiceCore
import SluiceInference
import SluiceTLS

/// The only way to a cache key: requests to canonical bytes, and those to a SHA-256.
///
/// Every key begins with the parts that ``KeyContext`` has, and goes on with what the request says. A
/// request as clients write it is scanned in one pass where it lies; any other is read whole.
struct KeyBuilder: ~Copyable {
    /// How a request is to be read.
    struct Reader: Sendable {
        var form: ResponseFormat.APIForm
        var headerLength: Int?
        var meaning: V1Meaning?
    }

    /// The keys of a request.
    struct Reading {
        /// The whole request's and what its caller wants, if it can be cached and has no rows.
        var whole: (key: CacheKey, responseFormat: ResponseFormat)?
        /// Its rows', or why there are none; nil where they weren't asked for.
        var rows: Result<RowRequest, RowFailure>?
    }

    private var digest = CacheDigest()
    /// What of the last request that was scanned is of use for its answer; until the next.
    private(set) var scan = CanonicalRequestScanner()
    private var scratch: ByteBuffer

    init(pool: BufferPool) { scratch = ByteBuffer(pool: pool) }

    // MARK: - Keys

    /// The keys of a whole request: by rows if that is asked for and possible, else its own.
    mutating func read(
        _ body: UnsafeRawBufferPointer,
        _ reader: Reader,
        _ context: KeyContext,
        byRows: Bool
    ) -> Reading {
        let rows = unsafe byRows ? readRows(body, reader, context) : nil
        if case .success? = rows { return Reading(whole: nil, rows: rows) }
        return unsafe Reading(whole: read(body, reader, context), rows: rows)
    }

    /// The key of a whole request and what its caller wants; nil when it can't be cached.
    ///
    /// A request that isn't the protocol's goes on to the backend, which says what is wrong with it.
    mutating func read(
        _ body: UnsafeRawBufferPointer,
        _ reader: Reader,
        _ context: KeyContext
    ) -> (key: CacheKey, responseFormat: ResponseFormat)? {
        if let key = unsafe scannedKey(body, reader, context) { return (key, scan.responseFormat) }
        do throws(InferenceFailure) {
            guard let content = unsafe try content(body, reader, context) else { return nil }
            return (try key(of: content, context), content.responseFormat)
        } catch {
            return nil
        }
    }

    /// The key of a whole V2 request as clients write them, from where it lies.
    ///
    /// Nil leaves it to the general reader, in ``read(_:_:_:)``.
    mutating func scannedKey(
        _ body: UnsafeRawBufferPointer,
        _ reader: Reader,
        _ context: KeyContext
    ) -> CacheKey? {
        guard unsafe scan(body, reader, version: context.version) else { return nil }
        let isWritten = unsafe scan.write(context, scratch: &scratch) {
            unsafe digest.append($0)
        }
        guard isWritten else {
            digest.restart()
            return nil
        }
        return KeyBuilder.finish(&digest)
    }

    /// The keys of a whole request and its rows; fails when it can't be cut or has too many.
    mutating func readRows(
        _ body: UnsafeRawBufferPointer,
        _ reader: Reader,
        _ context: KeyContext
    ) -> Result<RowRequest, RowFailure> {
        do throws(InferenceFailure) {
            if reader.form == .grpc { _ = unsafe try PredictCodec.plainMessage(body) }
            guard let content = unsafe try content(body, reader, context) else {
                return .failure(.request)
            }
            if let count = content.rowCount, count > KeyBuilder.rowsMaximum {
                return .failure(.limit)
            }
            let rows: TensorRows
            switch content {
            case .v1(let request): rows = try TensorRows(request)
            case .v2(let request, _):
                rows = try TensorRows(request, .generic, scratch: &scratch)
            }
            guard rows.count <= KeyBuilder.rowsMaximum else { return .failure(.limit) }
            let key = try self.key(of: content, context)
            var keys: [CacheKey] = []
            keys.reserveCapacity(rows.count)
            try unsafe rows.writeKeys(context, scratch: &scratch) {
                unsafe digest.append($0)
            } finish: {
                keys.append(KeyBuilder.finish(&digest))
            }
            return .success(
                RowRequest(key: key, responseFormat: content.responseFormat, rows: keys)
            )
        } catch {
            digest.restart()
            return .failure(.request)
        }
    }

    /// Rows above which a request is looked up whole: each costs a digest and a look-up.
    private static var rowsMaximum: Int { 4096 }

    /// Reads a whole V2 request as clients write them into ``scan``; false leaves it to the general
    /// reader.
    mutating func scan(
        _ body: UnsafeRawBufferPointer,
        _ reader: Reader,
        version: UnsafeRawBufferPointer
    ) -> Bool {
        switch reader.form {
        case .v1: false
        case .v2:
            unsafe scan.read(body: body, headerLength: reader.headerLength, version: version)
        case .grpc:
            unsafe body.count >= PredictCodec.prefixLength && body[0] == 0
                && scan.read(
                    message: UnsafeRawBufferPointer(rebasing: body[PredictCodec.prefixLength...])
                )
        }
    }

    // MARK: - The general reader

    /// What a request says, as its key has it.
    private enum Content {
        /// V1 that only its model understands.
        case v1(V1Request)
        case v2(InferenceRequest, ResponseFormat)

        var responseFormat: ResponseFormat {
            switch self {
            case .v1: ResponseFormat(.v1, InferenceRequest())
            case .v2(_, let responseFormat): responseFormat
            }
        }

        /// How many rows its first input has, if that is known before they are cut.
        var rowCount: Int? {
            switch self {
            case .v1: nil
            case .v2(let request, _): request.inputs.first?.shape.first
            }
        }
    }

    /// Reads a request; nil when it goes past the cache.
    private mutating func content(
        _ body: UnsafeRawBufferPointer,
        _ reader: Reader,
        _ context: KeyContext
    ) throws(InferenceFailure) -> Content? {
        let request: InferenceRequest
        let responseFormat: ResponseFormat
        switch reader.form {
        case .v1:
            let text = unsafe try V1Request(body)
            let version = unsafe String(decoding: context.version, as: UTF8.self)
            guard let meant = reader.meaning?.read(text, version: version, scratch: &scratch)
            else { return .v1(text) }
            (request, responseFormat) = meant
        case .v2:
            var read = unsafe try InferenceRequest(json: body, headerLength: reader.headerLength)
            read.modelVersion = unsafe String(decoding: context.version, as: UTF8.self)
            (request, responseFormat) = (read, ResponseFormat(.v2, read))
        case .grpc:
            request = unsafe try InferenceRequest(protobuf: PredictCodec.message(body))
            responseFormat = ResponseFormat(.grpc, request)
        }
        guard Cacheability(request) == .cacheable else { return nil }
        return .v2(request, responseFormat)
    }

    private mutating func key(
        of content: Content,
        _ context: KeyContext
    ) throws(InferenceFailure) -> CacheKey {
        do throws(InferenceFailure) {
            switch content {
            case .v1(let request):
                unsafe CanonicalRequest.write(request, context, scratch: &scratch) {
                    unsafe digest.append($0)
                }
            case .v2(let request, _):
                unsafe try CanonicalRequest.write(request, context, .generic, scratch: &scratch) {
                    unsafe digest.append($0)
                }
            }
        } catch {
            digest.restart()
            throw error
        }
        return KeyBuilder.finish(&digest)
    }

    /// The key of what the digest was fed.
    private static func finish(_ digest: inout CacheDigest) -> CacheKey {
        unsafe withUnsafeTemporaryAllocation(byteCount: CacheDigest.byteCount, alignment: 8) {
            place in
            unsafe digest.finish(into: place)
            return unsafe CacheKey(digest: UnsafeRawBufferPointer(place))
        }
    }
}
