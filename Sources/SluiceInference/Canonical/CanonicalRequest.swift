package import SluiceCore

/// A request's meaning as bytes for a digest: equal meaning gives equal bytes in every form.
///
/// Each field is framed by its length and each list by its count, so that no two requests share a
/// text (Triton's cache hashes neither shape nor datatype nor outputs; MLServer's forgets the model).
/// It begins with each ``KeyPart``. Behind them are parameters, requested outputs and their
/// parameters in the caller's order, and the inputs sorted by name: datatype, shape, parameters and
/// little-endian bytes. Not in it are `id`, headers, how numbers were packed, and the parameters
/// that can't change an answer.
///
/// JSON numbers are converted as their datatype says, so `1` and `1.0` are one FP32. NaN in JSON is
/// the quiet NaN without payload; other NaNs keep their bits and merely miss.
///
/// **V1** has a domain of its own: where the backend is called in V1, what an instance means is known
/// to the model alone, so its text counts, without white space. Where the gateway turns V1 into V2
/// (``Transcoder``), the V2 request is the meaning and shares its entry with every other form.
package enum CanonicalRequest {
    /// Feeds `request` to a digest, in pieces.
    ///
    /// Tensors that came as bytes are handed over where they lie. Throws when the data isn't what
    /// shape and datatype promise; such a request has no key, and its backend says what is wrong.
    package static func write(
        _ request: InferenceRequest,
        _ context: KeyContext,
        _ runtimeKind: RuntimeKind,
        scratch: inout ByteBuffer,
        into digest: (UnsafeRawBufferPointer) -> Void
    ) throws(InferenceFailure) {
        var head = CanonicalBytes(request, context)
        let isSingle = request.inputs.count == 1
        let inputs = isSingle ? request.inputs : request.inputs.sorted { $0.name < $1.name }
        for input in inputs {
            head.append(headOf: input)
            let bytes = try unsafe input.raw(&scratch, runtimeKind)
            head.append(count: bytes.count)
            unsafe head.flush(into: digest)
            unsafe digest(bytes)
        }
        unsafe head.flush(into: digest)
    }
}

/// Length-framed fields, gathered until they are flushed.
struct CanonicalBytes {
    private var bytes: [UInt8] = []

    /// Begins with the parts that every key has; `version` is the one that the request asks for.
    init(_ domain: KeyDomain, _ context: KeyContext, version: UnsafeRawBufferPointer) {
        bytes.reserveCapacity(256)
        unsafe context.forEachPart(domain, version: version) { unsafe append(bytes: $0) }
    }

    /// Begins a V2 request, up to its inputs.
    init(_ request: InferenceRequest, _ context: KeyContext) {
        var version = request.modelVersion
        self = version.withUTF8 {
            unsafe CanonicalBytes(.v2, context, version: UnsafeRawBufferPointer($0))
        }
        append(request.parameters, where: Cacheability.affectsResult)
        append(count: request.outputs.count)
        for output in request.outputs {
            append(output.name)
            append(output.parameters)
        }
        append(count: request.inputs.count)
    }

    /// Appends what an input has before its bytes, but for how many they are.
    mutating func append(headOf input: Tensor) {
        append(input.name)
        append(input.datatype.rawValue)
        append(count: input.shape.count)
        for dimension in input.shape { append(count: dimension) }
        append(input.parameters)
    }

    mutating func append(_ text: String) {
        append(count: text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    mutating func append(bytes text: UnsafeRawBufferPointer) {
        append(count: text.count)
        unsafe bytes.append(contentsOf: text)
    }

    mutating func append(count: Int) { append(bits: UInt64(bitPattern: Int64(count))) }

    /// Appends parameters sorted by name, each with the kind of its value.
    mutating func append(_ parameters: Parameters, where isWanted: (String) -> Bool = { _ in true })
    {
        let wanted = parameters.entries.filter { isWanted($0.name) }.sorted { $0.name < $1.name }
        append(count: wanted.count)
        for entry in wanted {
            append(entry.name)
            switch entry.value {
            case .bool(let flag): bytes.append(flag ? 1 : 0)
            case .int64(let number): append(kind: 2, UInt64(bitPattern: number))
            case .uint64(let number): append(kind: 3, number)
            case .double(let number): append(kind: 4, number.bitPattern)
            case .string(let text):
                bytes.append(5)
                append(text)
            case .json(let text):
                bytes.append(6)
                append(text)
            }
        }
    }

    /// Hands over what has been gathered.
    mutating func flush(into digest: (UnsafeRawBufferPointer) -> Void) {
        unsafe bytes.withUnsafeBytes { unsafe digest($0) }
        bytes.removeAll(keepingCapacity: true)
    }

    /// What has been gathered; the next bytes begin anew.
    mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    private mutating func append(kind: UInt8, _ bits: UInt64) {
        bytes.append(kind)
        append(bits: bits)
    }

    private mutating func append(bits: UInt64) {
        unsafe withUnsafeBytes(of: bits.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }
}
