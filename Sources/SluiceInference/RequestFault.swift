import SluiceCore
import SluiceWire

/// What is wrong with a prediction's body, whatever the model: it isn't what its protocol promises.
///
/// Runtimes answer 500 to such bodies: Triton and MLServer to JSON that is none and to data that doesn't
/// fit its shape. Who judges a backend by its failures asks here first whose failure it was.
package struct RequestFault: Error, Equatable, Sendable {
    /// What is wrong, and where: the member, the byte and the line.
    package let sentence: String
    /// Whether no server can read the body as a request; else one of its own kind may.
    package let isCertain: Bool

    /// What a body should be.
    package enum APIForm: Sendable, CaseIterable {
        /// `{"instances": […]}` or `{"inputs": …}` (TensorFlow Serving, KServe V1).
        case v1
        /// An inference request of the Open Inference Protocol v2.
        case v2
        /// A JSON object: what `generate`, `explain` and their like take.
        case object
        /// A ModelInferRequest behind the five bytes of gRPC's framing.
        case grpc
    }

    /// What is wrong with `body`; nil where it is a well-formed request, or can't be read from here.
    ///
    /// `headerLength` is `Inference-Header-Content-Length`, if it was sent. What the dialect's runtime reads
    /// beyond the protocol is well-formed. Cost: linear; memory up to eight times the largest tensor's text.
    package static func find(
        in body: UnsafeRawBufferPointer,
        _ form: APIForm,
        headerLength: Int? = nil,
        _ runtimeKind: RuntimeKind
    ) -> RequestFault? {
        do throws(RequestFault) {
            switch form {
            case .v1: try unsafe checkV1(body, runtimeKind)
            case .v2: try unsafe checkV2(body, headerLength, runtimeKind)
            case .object: try unsafe checkObject(body, runtimeKind)
            case .grpc: try unsafe checkMessage(body, runtimeKind)
            }
            return nil
        } catch {
            return error
        }
    }

    init(_ sentence: String, isCertain: Bool = true) {
        self.sentence = sentence
        self.isCertain = isCertain
    }

    private init(_ failure: InferenceFailure, isCertain: Bool = true) {
        self.init(failure.sentence, isCertain: isCertain)
    }

    // MARK: - JSON

    /// Sees to it that the text is JSON, all of it, and an object.
    private static func checkObject(
        _ text: UnsafeRawBufferPointer,
        _ runtimeKind: RuntimeKind
    ) throws(RequestFault) {
        var cursor = unsafe JSONCursor(text, allowsNonFinite: runtimeKind.readsNaNTokens)
        let kind: JSONKind
        do throws(JSONFailure) {
            kind = try cursor.peek()
            unsafe try cursor.skip()
            try cursor.finish()
        } catch {
            let place = unsafe place(error.offset, in: text)
            throw RequestFault("the body is not JSON: \(error.sentence) at \(place)")
        }
        guard kind == .object else {
            throw RequestFault("the body must be a JSON object", isCertain: false)
        }
    }

    private static func checkV1(
        _ body: UnsafeRawBufferPointer,
        _ runtimeKind: RuntimeKind
    ) throws(RequestFault) {
        try unsafe checkObject(body, runtimeKind)
        let request: V1Request
        do throws(InferenceFailure) {
            request = try unsafe V1Request(body)
        } catch {
            throw RequestFault(error, isCertain: false)
        }
        // A column of TensorFlow Serving may be a single value.
        guard !request.isInstances, runtimeKind != .tfserving,
            unsafe ![UInt8(ascii: "["), UInt8(ascii: "{")].contains(request.data.first ?? 0)
        else { return }
        let place = unsafe place(of: request.data, in: body)
        throw RequestFault(
            "'inputs' must be a list, or an object of columns, at \(place)",
            isCertain: false
        )
    }

    private static func checkV2(
        _ body: UnsafeRawBufferPointer,
        _ headerLength: Int?,
        _ runtimeKind: RuntimeKind
    ) throws(RequestFault) {
        // A raw request: the body is a tensor, and only the model knows of which shape.
        if headerLength == 0 { return }
        if let headerLength, headerLength < 0 {
            throw RequestFault("Inference-Header-Content-Length is not a number")
        }
        // Where the header promises more than has come, the reader says so.
        let text = unsafe UnsafeRawBufferPointer(rebasing: body.prefix(headerLength ?? body.count))
        if headerLength ?? 0 <= body.count { try unsafe checkObject(text, runtimeKind) }
        let request: InferenceRequest
        do throws(InferenceFailure) {
            request = try unsafe InferenceRequest(json: body, headerLength: headerLength)
        } catch {
            throw RequestFault(error)
        }
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        for (index, tensor) in request.inputs.enumerated() {
            guard case .json(let data) = tensor.data else { continue }
            do throws(InferenceFailure) {
                try unsafe check(data, of: tensor, runtimeKind, &scratch)
            } catch {
                let place = unsafe place(of: data, in: body)
                throw RequestFault("inputs[\(index)].data at \(place): \(error.sentence)")
            }
        }
    }

    /// Whether a tensor's text has as many elements of its type as its shape takes, however it nests.
    private static func check(
        _ data: UnsafeRawBufferPointer,
        of tensor: Tensor,
        _ runtimeKind: RuntimeKind,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) {
        let wanted = try tensor.elementCount
        scratch.removeAll()
        let text = unsafe TensorText(data, tensor, runtimeKind)
        let found = try text.appendElements(to: &scratch).reduce(1, *)
        guard found == wanted else {
            throw InferenceFailure(
                "tensor '\(tensor.name)' has \(found) elements where shape \(tensor.shape) takes \(wanted)"
            )
        }
    }

    // MARK: - gRPC

    private static func checkMessage(
        _ body: UnsafeRawBufferPointer,
        _ runtimeKind: RuntimeKind
    ) throws(RequestFault) {
        // What is compressed can't be read here.
        guard body.count >= 5, unsafe body[0] == 0 else { return }
        let message = unsafe UnsafeRawBufferPointer(rebasing: body[5...])
        do throws(InferenceFailure) {
            let request = try unsafe InferenceRequest(protobuf: message, runtimeKind)
            var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            for tensor in request.inputs {
                guard case .typed = tensor.data else { continue }
                _ = try unsafe tensor.raw(&scratch, runtimeKind)
            }
        } catch {
            guard error.kind == .invalid else { return }
            throw RequestFault(error)
        }
    }

    // MARK: - Places

    private static func place(
        of part: UnsafeRawBufferPointer,
        in text: UnsafeRawBufferPointer
    ) -> String {
        guard let base = text.baseAddress, let first = part.baseAddress else { return "byte 0" }
        return unsafe place(first - base, in: text)
    }

    /// The byte, counted from 0, and where an editor shows it: line and column, counted from 1.
    private static func place(_ offset: Int, in text: UnsafeRawBufferPointer) -> String {
        let before = unsafe text.prefix(offset)
        let line = unsafe before.count { $0 == ASCII.lineFeed } + 1
        let start = unsafe before.lastIndex(of: ASCII.lineFeed).map { $0 + 1 } ?? 0
        return "byte \(offset) (line \(line), column \(offset - start + 1))"
    }
}
