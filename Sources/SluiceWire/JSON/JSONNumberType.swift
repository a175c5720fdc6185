/// What the numbers of an array become, or are read from: the element types of tensors.
///
/// In memory the elements lie packed and little-endian, as the tensors of every protocol do.
package enum JSONNumberType: UInt8, Sendable, CaseIterable {
    case bool
    case int8
    case int16
    case int32
    case int64
    case uint8
    case uint16
    case uint32
    case uint64
    /// IEEE binary16.
    case float16
    /// The upper half of a binary32.
    case bfloat16
    case float32
    case float64

    /// Bytes of one element.
    package var size: Int {
        switch self {
        case .bool, .int8, .uint8: 1
        case .int16, .uint16, .float16, .bfloat16: 2
        case .int32, .uint32, .float32: 4
        case .int64, .uint64, .float64: 8
        }
    }
}
