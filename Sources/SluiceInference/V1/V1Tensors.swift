import SluiceCore
import SluiceWire

/// Tensors as V1 writes them: nested lists whose names and datatypes only the model's signature knows.
enum V1Tensors {
    // MARK: - Reading

    /// The tensors that `text` holds: one value for a model with one tensor, an object of columns, or a
    /// list of rows that are objects.
    ///
    /// `what` names the text and `side` the signature in sentences. The tensors own their bytes. Throws
    /// when the signature leaves open what is meant.
    static func read(
        _ text: UnsafeRawBufferPointer,
        _ signatures: [TensorSignature],
        what: String,
        nullIsNaN: Bool,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> [Tensor] {
        var cursor = unsafe JSONCursor(text)
        var columns: [(String, UnsafeRawBufferPointer)]?
        var isRows = false
        do throws(JSONFailure) {
            if try isNamed(cursor) {
                var found: [(String, UnsafeRawBufferPointer)] = unsafe []
                try cursor.enterObject()
                while let name = try cursor.nextMember() {
                    unsafe found.append((name.string, try cursor.skip()))
                }
                unsafe columns = unsafe found
            } else if try cursor.peek() == .array {
                var look = cursor
                try look.enterArray()
                if try look.nextElement() { isRows = try isNamed(look) }
            }
        } catch {
            throw InferenceFailure(error)
        }
        if let columns = unsafe columns {
            return try unsafe named(columns, signatures, what, nullIsNaN, &scratch)
        }
        if isRows { return try rows(&cursor, signatures, what, nullIsNaN, &scratch) }
        guard signatures.count == 1, let only = signatures.first else {
            throw InferenceFailure(
                "\(what) has no names, but the model has \(list(signatures)); send objects with those names"
            )
        }
        return [try unsafe tensor(text, only, nullIsNaN, &scratch)]
    }

    /// Whether an object of named tensors is next, and not `{"b64": …}`.
    private static func isNamed(_ cursor: JSONCursor) throws(JSONFailure) -> Bool {
        var look = cursor
        guard try look.peek() == .object else { return false }
        try look.enterObject()
        guard let name = try look.nextMember() else { return true }
        return !name.equals("b64")
    }

    private static func named(
        _ columns: [(String, UnsafeRawBufferPointer)],
        _ signatures: [TensorSignature],
        _ what: String,
        _ nullIsNaN: Bool,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> [Tensor] {
        var tensors: [Tensor] = []
        for index in unsafe columns.indices {
            let (name, text) = unsafe columns[index]
            guard let signature = signatures.first(where: { $0.name == name }) else {
                throw unknown(name, signatures, what)
            }
            guard !tensors.contains(where: { $0.name == name }) else {
                throw InferenceFailure("\(what) has '\(name)' twice")
            }
            tensors.append(try unsafe tensor(text, signature, nullIsNaN, &scratch))
        }
        return tensors
    }

    /// Gathers rows of named values into columns of text, and reads those.
    private static func rows(
        _ cursor: inout JSONCursor,
        _ signatures: [TensorSignature],
        _ what: String,
        _ nullIsNaN: Bool,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> [Tensor] {
        var columns = [[UInt8]](repeating: [], count: signatures.count)
        var counts = [Int](repeating: 0, count: signatures.count)
        var row = 0
        do throws(JSONFailure) {
            try cursor.enterArray()
            while try cursor.nextElement() {
                try cursor.enterObject()
                while let member = try cursor.nextMember() {
                    let value = unsafe try cursor.skip()
                    guard let index = signatures.firstIndex(where: { $0.name == member.string })
                    else {
                        throw cursor.failure(unknown(member.string, signatures, what).sentence)
                    }
                    guard counts[index] == row else {
                        throw cursor.failure(
                            "row \(row) has '\(member.string)' twice, or an earlier row lacks it"
                        )
                    }
                    columns[index].append(counts[index] == 0 ? UInt8(ascii: "[") : ASCII.comma)
                    unsafe columns[index].append(contentsOf: value)
                    counts[index] += 1
                }
                row += 1
            }
        } catch {
            throw InferenceFailure("\(what): \(error.sentence) (byte \(error.offset) of it)")
        }
        var tensors: [Tensor] = []
        for (index, signature) in signatures.enumerated() where counts[index] > 0 {
            guard counts[index] == row else {
                throw InferenceFailure(
                    "\(what): '\(signature.name)' stands in \(counts[index]) of \(row) rows; give it in all"
                )
            }
            columns[index].append(UInt8(ascii: "]"))
            let found: Result<Tensor, InferenceFailure> = unsafe columns[index].withUnsafeBytes {
                text in
                do throws(InferenceFailure) {
                    return .success(try unsafe tensor(text, signature, nullIsNaN, &scratch))
                } catch {
                    return .failure(error)
                }
            }
            tensors.append(try found.get())
        }
        return tensors
    }

    private static func tensor(
        _ text: UnsafeRawBufferPointer,
        _ signature: TensorSignature,
        _ nullIsNaN: Bool,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Tensor {
        var tensor = Tensor(
            name: signature.name,
            datatype: signature.datatype,
            shape: [],
            data: .absent
        )
        scratch.removeAll()
        let runtimeKind: RuntimeKind = nullIsNaN ? .mlserver : .generic
        tensor.shape = try unsafe TensorText(text, tensor, runtimeKind).appendElements(to: &scratch)
        // `[[]]` doesn't say what is within the dimension of zero; the signature may.
        if tensor.shape.last == 0, tensor.shape.count < signature.shape.count {
            tensor.shape += signature.shape[tensor.shape.count...].map { max($0, 0) }
        }
        unsafe tensor.data = .owned([UInt8](scratch.bytes))
        return tensor
    }

    private static func unknown(
        _ name: String,
        _ signatures: [TensorSignature],
        _ what: String
    ) -> InferenceFailure {
        InferenceFailure(
            "\(what) names '\(name)', which the model doesn't have; it has \(list(signatures))"
        )
    }

    private static func list(_ signatures: [TensorSignature]) -> String {
        signatures.isEmpty
            ? "no tensors in its metadata"
            : signatures.map { "'\($0.name)'" }.joined(separator: ", ")
    }

    // MARK: - Writing

    /// Appends tensors as an object of columns; a single one stands alone unless `isNamed`.
    static func writeColumns(
        _ tensors: [Tensor],
        isNamed: Bool,
        to output: inout ByteBuffer,
        _ scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind
    ) throws(InferenceFailure) {
        if isNamed { output.append(byte: UInt8(ascii: "{")) }
        for (index, tensor) in tensors.enumerated() {
            if index > 0 { output.append(byte: ASCII.comma) }
            if isNamed { output.append(name: tensor.name) }
            let raw = try unsafe tensor.raw(&scratch, runtimeKind)
            unsafe output.append(json: raw, tensor.datatype, shape: tensor.shape, tensor.v1Form)
        }
        if isNamed { output.append(byte: UInt8(ascii: "}")) }
    }

    /// Appends tensors as a list of rows along dimension 0: values where there is one tensor, else
    /// objects.
    ///
    /// Throws unless all have the same dimension 0, which is `count` if that is given.
    static func writeRows(
        _ tensors: [Tensor],
        count: Int?,
        to output: inout ByteBuffer,
        _ scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind
    ) throws(InferenceFailure) {
        let wanted = count ?? tensors.first?.shape.first ?? 0
        for tensor in tensors {
            guard tensor.shape.first == wanted else {
                throw InferenceFailure(
                    "tensor '\(tensor.name)' has shape \(tensor.shape), which isn't \(wanted) rows; V1 'instances' and 'predictions' are rows",
                    .inexpressible
                )
            }
        }
        if tensors.count == 1 {
            return try writeColumns(tensors, isNamed: false, to: &output, &scratch, runtimeKind)
        }
        // Rows take from all tensors in turn, so all must be there at once.
        var owned: [[UInt8]] = []
        for tensor in tensors {
            owned.append(unsafe [UInt8](try tensor.raw(&scratch, runtimeKind)))
        }
        var places = [Int](repeating: 0, count: tensors.count)
        output.append(byte: UInt8(ascii: "["))
        for row in 0..<wanted {
            output.append(row == 0 ? "{" : ",{")
            for (index, tensor) in tensors.enumerated() {
                if index > 0 { output.append(byte: ASCII.comma) }
                output.append(name: tensor.name)
                unsafe owned[index].withUnsafeBytes { bytes in
                    let slice = unsafe tensor.row(of: bytes, &places[index])
                    unsafe output.append(
                        json: slice,
                        tensor.datatype,
                        shape: Array(tensor.shape.dropFirst()),
                        tensor.v1Form
                    )
                }
            }
            output.append(byte: UInt8(ascii: "}"))
        }
        output.append(byte: UInt8(ascii: "]"))
    }
}

extension Tensor {
    /// The next row along dimension 0 of `raw`, which fits the tensor; `place` is where it begins.
    func row(of raw: UnsafeRawBufferPointer, _ place: inout Int) -> UnsafeRawBufferPointer {
        let count = shape.dropFirst().reduce(1, *)
        let start = place
        if let size = datatype.size {
            place += count * size
        } else {
            var elements = unsafe BytesElements(UnsafeRawBufferPointer(rebasing: raw[start...]))
            for _ in 0..<count { _ = unsafe elements.next() }
            place += elements.index
        }
        return unsafe UnsafeRawBufferPointer(rebasing: raw[start..<place])
    }

    /// Names that end in `_bytes` are always base64 in V1 (TensorFlow Serving).
    fileprivate var v1Form: ByteBuffer.BytesForm { .objects(always: name.hasSuffix("_bytes")) }
}

extension ByteBuffer {
    fileprivate mutating func append(name: String) {
        JSONStringText.append(name, to: &self)
        append(byte: ASCII.colon)
    }
}
