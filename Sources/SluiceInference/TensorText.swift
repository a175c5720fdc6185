package import SluiceWire

// Elements between JSON and little-endian bytes.
extension Tensor {
    /// Reads `data` as it stands in V2 JSON: flat or nested, row-major.
    package init(
        name: String, datatype: DataType, shape: [Int], data: JSONValue
    ) throws(InferenceFailure) {
        var bytes: [UInt8] = []
        try Tensor.append(data, datatype, name, to: &bytes)
        self.init(name: name, datatype: datatype, shape: shape, bytes: bytes)
        try validate()
    }

    /// The elements as a flat JSON array; FP16 and BF16 have no JSON form.
    package func jsonData() throws(InferenceFailure) -> JSONValue {
        if datatype == .bytes {
            var texts: [JSONValue] = []
            for element in try elements() {
                guard let text = String(validating: element, as: UTF8.self) else {
                    throw InferenceFailure("tensor '\(name)' has bytes that are not UTF-8 text")
                }
                texts.append(.string(text))
            }
            return .array(texts)
        }
        guard let size = datatype.size, datatype != .fp16, datatype != .bf16 else {
            throw InferenceFailure(
                "tensor '\(name)' is \(datatype.rawValue), which has no JSON form; ask for binary data"
            )
        }
        return .array(
            stride(from: 0, to: bytes.count, by: size).map { json(at: $0) })
    }

    /// Element number `index` of a numeric tensor as a double.
    package func double(at index: Int) -> Double {
        switch datatype {
        case .fp32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits(at: 4 * index, 4))))
        case .fp64: Double(bitPattern: bits(at: 8 * index, 8))
        default: 0
        }
    }

    private func bits(at offset: Int, _ size: Int) -> UInt64 {
        var value: UInt64 = 0
        for step in 0..<size { value |= UInt64(bytes[offset + step]) << UInt64(8 * step) }
        return value
    }

    private func json(at offset: Int) -> JSONValue {
        let raw = bits(at: offset, datatype.size ?? 1)
        switch datatype {
        case .bool: return .bool(raw != 0)
        case .uint8, .uint16, .uint32, .uint64: return .number(String(raw))
        case .int8: return .number(String(Int8(truncatingIfNeeded: raw)))
        case .int16: return .number(String(Int16(truncatingIfNeeded: raw)))
        case .int32: return .number(String(Int32(truncatingIfNeeded: raw)))
        case .int64: return .number(String(Int64(bitPattern: raw)))
        case .fp32: return .float(Float(bitPattern: UInt32(truncatingIfNeeded: raw)))
        case .fp64: return .double(Double(bitPattern: raw))
        case .fp16, .bf16, .bytes: return .null
        }
    }

    private static func append(
        _ value: JSONValue, _ datatype: DataType, _ name: String, to bytes: inout [UInt8]
    ) throws(InferenceFailure) {
        if case .array(let elements) = value {
            for element in elements { try append(element, datatype, name, to: &bytes) }
            return
        }
        switch datatype {
        case .bool:
            if let flag = value.flag {
                bytes.append(flag ? 1 : 0)
            } else if let number = value.integer, number == 0 || number == 1 {
                bytes.append(UInt8(number))
            } else {
                throw mismatch(value, datatype, name)
            }
        case .uint8: try integer(UInt8.self, value, datatype, name, &bytes)
        case .uint16: try integer(UInt16.self, value, datatype, name, &bytes)
        case .uint32: try integer(UInt32.self, value, datatype, name, &bytes)
        case .uint64: try integer(UInt64.self, value, datatype, name, &bytes)
        case .int8: try integer(Int8.self, value, datatype, name, &bytes)
        case .int16: try integer(Int16.self, value, datatype, name, &bytes)
        case .int32: try integer(Int32.self, value, datatype, name, &bytes)
        case .int64: try integer(Int64.self, value, datatype, name, &bytes)
        case .fp32:
            guard let number = value.float else { throw mismatch(value, datatype, name) }
            bytes.appendLittleEndian(number.bitPattern)
        case .fp64:
            guard let number = value.double else { throw mismatch(value, datatype, name) }
            bytes.appendLittleEndian(number.bitPattern)
        case .fp16, .bf16:
            throw InferenceFailure(
                "tensor '\(name)' is \(datatype.rawValue), which has no JSON form; send binary data"
            )
        case .bytes:
            guard let text = value.text else { throw mismatch(value, datatype, name) }
            bytes.appendLittleEndian(UInt32(truncatingIfNeeded: text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
    }

    private static func integer<Number: FixedWidthInteger>(
        _ type: Number.Type, _ value: JSONValue, _ datatype: DataType, _ name: String,
        _ bytes: inout [UInt8]
    ) throws(InferenceFailure) {
        guard case .number(let text) = value, let number = Number(text) else {
            throw mismatch(value, datatype, name)
        }
        bytes.appendLittleEndian(number)
    }

    private static func mismatch(
        _ value: JSONValue, _ datatype: DataType, _ name: String
    ) -> InferenceFailure {
        let text = String(decoding: value.serialized.prefix(40), as: UTF8.self)
        return InferenceFailure("tensor '\(name)' takes \(datatype.rawValue), not \(text)")
    }
}

extension [UInt8] {
    /// Appends a number's bytes, lowest first.
    package mutating func appendLittleEndian(_ number: some FixedWidthInteger) {
        var rest = number
        for _ in 0..<(number.bitWidth / 8) {
            append(UInt8(truncatingIfNeeded: rest))
            rest = number.bitWidth > 8 ? rest >> 8 : 0
        }
    }
}

extension JSONValue {
    /// The shortest text that reads back as the same double; NaN and infinities as bare tokens.
    package static func double(_ value: Double) -> JSONValue {
        if value.isNaN { return .number("NaN") }
        if value.isInfinite { return .number(value < 0 ? "-Infinity" : "Infinity") }
        return .number(value.description)
    }

    /// The shortest text that reads back as the same single-precision number.
    package static func float(_ value: Float) -> JSONValue {
        if value.isNaN { return .number("NaN") }
        if value.isInfinite { return .number(value < 0 ? "-Infinity" : "Infinity") }
        return .number(value.description)
    }

    /// A number rounded once, from its text, to single precision.
    package var float: Float? {
        guard case .number(let text) = self else { return nil }
        switch text {
        case "NaN": return .nan
        case "Infinity": return .infinity
        case "-Infinity": return -.infinity
        default: return Float(text)
        }
    }
}
