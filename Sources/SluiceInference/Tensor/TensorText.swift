import SluiceCore
import SluiceWire

/// A tensor's elements as JSON text; no tree is built for them.
@safe
struct TensorText {
    private let text: UnsafeRawBufferPointer
    private let name: String
    private let datatype: DataType
    private let isBase64: Bool
    private let nullIsNaN: Bool

    /// The text of `tensor`'s data, which must outlive this.
    init(_ text: UnsafeRawBufferPointer, _ tensor: Tensor, _ runtimeKind: RuntimeKind) {
        unsafe self.text = text
        name = tensor.name
        datatype = tensor.datatype
        isBase64 = tensor.isBase64(runtimeKind)
        nullIsNaN = runtimeKind.nullIsNaN
    }

    // MARK: - Reading

    /// Appends the elements as little-endian bytes and returns how they nest, outermost first.
    ///
    /// With `count` there must be so many elements at most. Memory: at most eight bytes for each of the
    /// text's. Nesting must be rectangular.
    func appendElements(
        count: Int? = nil,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) -> [Int] {
        var cursor = unsafe JSONCursor(text, nullIsNaN: nullIsNaN)
        do throws(JSONFailure) {
            let shape: [Int]
            if let type = datatype.numberType {
                // A number takes a byte of text at least: more than those is not worth room.
                if let count, unsafe count <= text.count {
                    let room = count * type.size
                    let place = unsafe UnsafeMutableRawBufferPointer(
                        start: output.reserve(max(room, 1)),
                        count: room
                    )
                    let found = unsafe try cursor.numbers(type, into: place)
                    output.commit(found.count * type.size)
                    shape = found.array
                } else {
                    shape = try cursor.numbers(type, appendedTo: &output).array
                }
            } else {
                shape = try strings(&cursor, &output)
            }
            try cursor.finish()
            return shape
        } catch {
            throw InferenceFailure(
                "tensor '\(name)' takes \(datatype.rawValue): \(error.sentence) at byte \(error.offset) of its data"
            )
        }
    }

    /// Appends the elements as little-endian bytes, flat or nested as `tensor.shape` has it.
    func append(_ tensor: Tensor, to output: inout ByteBuffer) throws(InferenceFailure) {
        let count = try tensor.elementCount
        let found = try appendElements(count: count, to: &output)
        let foundCount = found.reduce(1, *)
        guard foundCount == count else {
            throw InferenceFailure(
                "tensor '\(name)' has \(foundCount) elements where shape \(tensor.shape) takes \(count)"
            )
        }
        guard found.count <= 1 || found == tensor.shape || count == 0 else {
            throw InferenceFailure(
                "tensor '\(name)' nests as \(found), but has shape \(tensor.shape); send it flat or nested like its shape"
            )
        }
    }

    /// Strings, nested or not, each behind its length; also `{"b64": "…"}` as V1 has it.
    private func strings(
        _ cursor: inout JSONCursor,
        _ output: inout ByteBuffer
    ) throws(JSONFailure) -> [Int] {
        guard try cursor.peek() == .array else {
            try string(&cursor, &output)
            return []
        }
        var shape: [Int] = []
        // How many elements each open array has so far.
        var counts = [0]
        var isLeaf = false
        try cursor.enterArray()
        while let level = counts.indices.last {
            guard try cursor.nextElement() else {
                if level < shape.count, shape[level] >= 0 {
                    guard shape[level] == counts[level] else {
                        throw cursor.failure("rows differ in length")
                    }
                } else {
                    while shape.count <= level { shape.append(-1) }
                    shape[level] = counts[level]
                }
                counts.removeLast()
                continue
            }
            counts[level] += 1
            if try cursor.peek() == .array {
                guard !isLeaf || level + 1 < shape.count else {
                    throw cursor.failure("rows differ in depth")
                }
                try cursor.enterArray()
                counts.append(0)
            } else {
                while shape.count <= level { shape.append(-1) }
                guard shape.count == level + 1 else { throw cursor.failure("rows differ in depth") }
                isLeaf = true
                try string(&cursor, &output)
            }
        }
        return shape
    }

    private func string(
        _ cursor: inout JSONCursor,
        _ output: inout ByteBuffer
    ) throws(JSONFailure) {
        guard try cursor.peek() == .object else {
            try append(cursor.string(), isBase64: isBase64, cursor, &output)
            return
        }
        try cursor.enterObject()
        guard let member = try cursor.nextMember(), member.equals("b64") else {
            throw cursor.failure("text or {\"b64\": …} is missing here")
        }
        try append(cursor.string(), isBase64: true, cursor, &output)
        guard try cursor.nextMember() == nil else {
            throw cursor.failure("b64 stands alone in its object")
        }
    }

    private func append(
        _ string: JSONString,
        isBase64: Bool,
        _ cursor: JSONCursor,
        _ output: inout ByteBuffer
    ) throws(JSONFailure) {
        let start = output.count
        output.append(littleEndian: UInt32(0))
        // An unescaped string is no longer than its text.
        let place = unsafe output.reserve(unsafe string.raw.count)
        var length = unsafe string.unescape(to: place)
        if isBase64 {
            guard
                let decoded = unsafe Base64.decode(UnsafeBufferPointer(start: place, count: length))
            else {
                throw cursor.failure("base64 that can't be decoded")
            }
            length = decoded.count
            for index in decoded.indices { unsafe place[index] = decoded[index] }
        }
        output.commit(length)
        unsafe UnsafeMutableRawPointer(output.place(at: start)).storeBytes(
            of: UInt32(truncatingIfNeeded: length).littleEndian,
            as: UInt32.self
        )
    }
}

// MARK: - Writing

extension ByteBuffer {
    /// How BYTES become JSON.
    enum BytesForm {
        /// Strings; the elements are known to be UTF-8.
        case text
        /// Strings of base64.
        case base64
        /// Strings, and `{"b64": "…"}` for what isn't UTF-8 or always (V1).
        case objects(always: Bool)
    }

    /// Appends `raw`, little-endian bytes that fit, as JSON nested like `shape`; [count] is flat.
    mutating func append(
        json raw: UnsafeRawBufferPointer,
        _ datatype: DataType,
        shape: [Int],
        _ form: BytesForm,
        nullForNaN: Bool = false
    ) {
        if let type = datatype.numberType {
            unsafe JSONNumberText.append(
                type,
                raw,
                shape: shape,
                nullForNaN: nullForNaN,
                to: &self
            )
            return
        }
        var elements = unsafe BytesElements(raw)
        var written = 0
        let count = shape.reduce(1, *)
        guard count > 0 else { return JSONNumberText.appendEmpty(shape: shape, to: &self) }
        while let element = unsafe elements.next() {
            if written > 0 { append(byte: ASCII.comma) }
            appendBrackets(UInt8(ascii: "["), written, shape)
            unsafe append(element: element, form)
            written += 1
            appendBrackets(UInt8(ascii: "]"), written, shape)
        }
    }

    private mutating func append(element: UnsafeRawBufferPointer, _ form: BytesForm) {
        switch form {
        case .text: unsafe JSONStringText.append(element, to: &self)
        case .base64: unsafe append(base64: element)
        case .objects(let always):
            if !always, unsafe JSONStringText.append(element, to: &self) { return }
            append("{\"b64\":")
            unsafe append(base64: element)
            append(byte: UInt8(ascii: "}"))
        }
    }

    private mutating func append(base64 element: UnsafeRawBufferPointer) {
        append(byte: ASCII.quote)
        unsafe Base64.append(element, to: &self)
        append(byte: ASCII.quote)
    }

    /// Appends a bracket for each level at whose edge the element number `written` is.
    private mutating func appendBrackets(_ bracket: UInt8, _ written: Int, _ shape: [Int]) {
        var size = 1
        for level in shape.indices.reversed() {
            size *= shape[level]
            guard written % size == 0 else { return }
            append(byte: bracket)
        }
    }
}

extension Tensor {
    /// Whether its strings in JSON are base64 of its elements (KServe's REST proxies say so).
    func isBase64(_ runtimeKind: RuntimeKind) -> Bool {
        datatype == .bytes && runtimeKind.base64IsEncoding
            && parameters["content_type"] == .string("base64")
    }

    /// Whether strict JSON can say the elements `raw`: no FP16, no BF16, no NaN or infinity, and only
    /// UTF-8; stops at the first that it can't.
    func isPlainJSON(_ raw: UnsafeRawBufferPointer) -> Bool {
        switch datatype {
        case .fp16, .bf16: return false
        case .bytes: return unsafe Tensor.isText(raw)
        default: return unsafe isFinite(raw)
        }
    }

    /// Whether no floating-point element is NaN or infinite; others are numbers always.
    ///
    /// With `orNaN` only infinite ones count.
    func isFinite(_ raw: UnsafeRawBufferPointer, orNaN: Bool = false) -> Bool {
        switch datatype {
        case .fp32:
            for offset in stride(from: 0, to: raw.count, by: 4) {
                let bits = unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                if bits & 0x7F80_0000 == 0x7F80_0000, !orNaN || bits & 0x007F_FFFF == 0 {
                    return false
                }
            }
        case .fp64:
            for offset in stride(from: 0, to: raw.count, by: 8) {
                let bits = unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if bits & 0x7FF0_0000_0000_0000 == 0x7FF0_0000_0000_0000,
                    !orNaN || bits & 0x000F_FFFF_FFFF_FFFF == 0
                {
                    return false
                }
            }
        case .fp16, .bf16:
            let mask: UInt16 = datatype == .fp16 ? 0x7C00 : 0x7F80
            for offset in stride(from: 0, to: raw.count, by: 2) {
                let bits = unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
                if bits & mask == mask, !orNaN || bits & ~mask & 0x7FFF == 0 { return false }
            }
        default: break
        }
        return true
    }

    /// Whether all elements of BYTES are UTF-8.
    static func isText(_ raw: UnsafeRawBufferPointer) -> Bool {
        var elements = unsafe BytesElements(raw)
        while let element = unsafe elements.next() {
            let span = unsafe Span<UInt8>(_unsafeBytes: element)
            guard (try? UTF8Span(validating: span)) != nil else { return false }
        }
        return true
    }
}

extension DataType {
    /// The number type in JSON; nil for BYTES.
    var numberType: JSONNumberType? {
        switch self {
        case .bool: .bool
        case .uint8: .uint8
        case .uint16: .uint16
        case .uint32: .uint32
        case .uint64: .uint64
        case .int8: .int8
        case .int16: .int16
        case .int32: .int32
        case .int64: .int64
        case .fp16: .float16
        case .bf16: .bfloat16
        case .fp32: .float32
        case .fp64: .float64
        case .bytes: nil
        }
    }
}
