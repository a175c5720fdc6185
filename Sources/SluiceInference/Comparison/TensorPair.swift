private import Glibc
import SluiceWire

/// Two tensors of one datatype and shape, as little-endian bytes.
@safe
struct TensorPair {
    private let left: UnsafeRawBufferPointer
    private let right: UnsafeRawBufferPointer
    private let datatype: DataType
    private let rowLength: Int

    /// A pair; `rowLength` is the last dimension where rows have a meaning, else 0.
    init(
        left: UnsafeRawBufferPointer,
        right: UnsafeRawBufferPointer,
        datatype: DataType,
        rowLength: Int
    ) {
        unsafe self.left = left
        unsafe self.right = right
        self.datatype = datatype
        self.rowLength = rowLength
    }

    func agreement(_ tolerance: Double) -> AnswerAgreement {
        if unsafe left.count == right.count {
            guard let one = unsafe left.baseAddress, let other = unsafe right.baseAddress else {
                return .equal
            }
            if unsafe memcmp(one, other, left.count) == 0 { return .equal }
        }
        // Words and flags have no neighbourhood.
        guard let size = datatype.size, datatype != .bool else { return .different }
        let count = unsafe left.count / size
        guard unsafe left.count == right.count else { return .uncomparable }
        if (0..<count).allSatisfy({ isClose($0, tolerance) }) { return .close }
        guard rowLength > 1 else { return .different }
        for row in 0..<(count / rowLength) {
            let first = row * rowLength
            let one = Closeness.largest(rowLength) { unsafe number(left, first + $0) }
            let other = Closeness.largest(rowLength) { unsafe number(right, first + $0) }
            if one != other { return .different }
        }
        return .argmax
    }

    private func isClose(_ index: Int, _ tolerance: Double) -> Bool {
        let (one, other) = unsafe (number(left, index), number(right, index))
        // Doubles can't tell whole numbers of 64 bits apart above 2^53.
        guard let exact = unsafe whole(left, index), let wanted = unsafe whole(right, index) else {
            return Closeness.holds(one, other, tolerance)
        }
        let distance = exact > wanted ? exact - wanted : wanted - exact
        return Double(distance) <= tolerance * max(1, abs(one), abs(other))
    }

    private func whole(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Int128? {
        switch datatype {
        case .int64: unsafe Int128(Int64(littleEndian: load(bytes, index)))
        case .uint64: unsafe Int128(UInt64(littleEndian: load(bytes, index)))
        default: nil
        }
    }

    private func number(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Double {
        switch datatype {
        case .uint8: unsafe Double(load(bytes, index) as UInt8)
        case .int8: unsafe Double(load(bytes, index) as Int8)
        case .uint16: unsafe Double(UInt16(littleEndian: load(bytes, index)))
        case .int16: unsafe Double(Int16(littleEndian: load(bytes, index)))
        case .uint32: unsafe Double(UInt32(littleEndian: load(bytes, index)))
        case .int32: unsafe Double(Int32(littleEndian: load(bytes, index)))
        case .uint64: unsafe Double(UInt64(littleEndian: load(bytes, index)))
        case .int64: unsafe Double(Int64(littleEndian: load(bytes, index)))
        case .fp16: unsafe Double(ShortFloat.single(half: UInt16(littleEndian: load(bytes, index))))
        case .bf16:
            unsafe Double(ShortFloat.single(brain: UInt16(littleEndian: load(bytes, index))))
        case .fp32:
            unsafe Double(Float(bitPattern: UInt32(littleEndian: load(bytes, index))))
        case .fp64: unsafe Double(bitPattern: UInt64(littleEndian: load(bytes, index)))
        case .bool, .bytes: .nan
        }
    }

    // In bounds: `index` is below the count of elements that the bytes hold.
    private func load<Value: BitwiseCopyable>(
        _ bytes: UnsafeRawBufferPointer,
        _ index: Int
    ) -> Value {
        unsafe bytes.loadUnaligned(
            fromByteOffset: index * MemoryLayout<Value>.size,
            as: Value.self
        )
    }
}
