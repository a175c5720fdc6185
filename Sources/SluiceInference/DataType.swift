/// The tensor element types of the Open Inference Protocol v2, with Triton's BF16.
package enum DataType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case uint8 = "UINT8"
    case uint16 = "UINT16"
    case uint32 = "UINT32"
    case uint64 = "UINT64"
    case int8 = "INT8"
    case int16 = "INT16"
    case int32 = "INT32"
    case int64 = "INT64"
    case fp16 = "FP16"
    case bf16 = "BF16"
    case fp32 = "FP32"
    case fp64 = "FP64"
    case bytes = "BYTES"

    /// Bytes of one element; nil for BYTES, whose elements vary.
    package var size: Int? {
        switch self {
        case .bool, .uint8, .int8: 1
        case .uint16, .int16, .fp16, .bf16: 2
        case .uint32, .int32, .fp32: 4
        case .uint64, .int64, .fp64: 8
        case .bytes: nil
        }
    }
}

/// Why a request isn't a valid one, in words for its sender.
package struct InferenceFailure: Error, Equatable, Sendable {
    /// What is wrong, naming the tensor or field.
    package let sentence: String

    /// A failure.
    package init(_ sentence: String) { self.sentence = sentence }
}

/// A value of `parameters`.
package enum InferenceParameter: Equatable, Sendable {
    case bool(Bool)
    case int64(Int64)
    case uint64(UInt64)
    case double(Double)
    case string(String)
}

/// A named tensor: elements in row-major order, little-endian, without padding.
///
/// BYTES elements are each preceded by their length in four bytes (binary tensor extension).
package struct Tensor: Equatable, Sendable {
    package var name: String
    package var datatype: DataType
    package var shape: [Int]
    package var bytes: [UInt8]

    /// A tensor; the bytes must fit shape and datatype.
    package init(name: String, datatype: DataType, shape: [Int], bytes: [UInt8]) {
        self.name = name
        self.datatype = datatype
        self.shape = shape
        self.bytes = bytes
    }

    /// The product of the shape's dimensions, or nil if one is negative or the product overflows.
    package static func elementCount(_ shape: [Int]) -> Int? {
        var count = 1
        for dimension in shape {
            guard dimension >= 0 else { return nil }
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard !overflow else { return nil }
            count = product
        }
        return count
    }

    /// Throws unless the bytes are exactly what shape and datatype ask for.
    package func validate() throws(InferenceFailure) {
        guard let count = Tensor.elementCount(shape) else {
            throw InferenceFailure("tensor '\(name)' has an impossible shape \(shape)")
        }
        if let size = datatype.size {
            let (wanted, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow, wanted == bytes.count else {
                throw InferenceFailure(
                    "tensor '\(name)' has \(bytes.count) bytes where shape \(shape) of \(datatype.rawValue) takes \(wanted)"
                )
            }
        } else {
            let found = try elements().count
            guard found == count else {
                throw InferenceFailure(
                    "tensor '\(name)' has \(found) elements where shape \(shape) takes \(count)")
            }
        }
    }

    /// The elements of a BYTES tensor.
    package func elements() throws(InferenceFailure) -> [ArraySlice<UInt8>] {
        var found: [ArraySlice<UInt8>] = []
        var index = 0
        while index < bytes.count {
            guard index + 4 <= bytes.count else {
                throw InferenceFailure("tensor '\(name)' ends inside an element's length")
            }
            let length =
                Int(bytes[index]) | Int(bytes[index + 1]) << 8 | Int(bytes[index + 2]) << 16
                | Int(bytes[index + 3]) << 24
            index += 4
            guard length <= bytes.count - index else {
                throw InferenceFailure("tensor '\(name)' ends inside an element")
            }
            found.append(bytes[index..<(index + length)])
            index += length
        }
        return found
    }
}
