import SluiceCore
import SluiceWire

/// An InferTensorContents message: which field holds the elements follows from the datatype.
///
/// BOOL 1, INT8/16/32 2, INT64 3, UINT8/16/32 4, UINT64 5, FP32 6, FP64 7, BYTES 8. FP16 and BF16
/// have none; MLServer puts FP16 as bytes into field 8, which is read here too.
@safe
struct TypedContents {
    private let message: UnsafeRawBufferPointer
    private let datatype: DataType
    private let name: String

    /// The contents of the tensor `name`; the message must outlive it.
    init(_ message: UnsafeRawBufferPointer, _ datatype: DataType, of name: String) {
        unsafe self.message = message
        self.datatype = datatype
        self.name = name
    }

    /// The field that the datatype's elements are in.
    static func field(of datatype: DataType) -> Int {
        switch datatype {
        case .bool: 1
        case .int8, .int16, .int32: 2
        case .int64: 3
        case .uint8, .uint16, .uint32: 4
        case .uint64: 5
        case .fp32: 6
        case .fp64: 7
        case .bytes, .fp16, .bf16: 8
        }
    }

    // MARK: - Reading

    /// FP32 and FP64 in one packed piece are little-endian bytes already; nil for everything else.
    var inPlace: UnsafeRawBufferPointer? {
        get throws(InferenceFailure) {
            guard datatype == .fp32 || datatype == .fp64 else { return nil }
            var reader = unsafe WireReader(message)
            guard let field = try reader.next(), reader.isAtEnd,
                field.number == TypedContents.field(of: datatype),
                case .bytes(let packed) = field.value
            else { return nil }
            return unsafe packed
        }
    }

    /// Appends the elements as little-endian bytes, packed and unpacked alike.
    ///
    /// At most eight bytes for each byte that came. Throws for elements in another datatype's field
    /// and for numbers beyond the datatype.
    func append(to output: inout ByteBuffer) throws(InferenceFailure) {
        let wanted = TypedContents.field(of: datatype)
        var reader = unsafe WireReader(message)
        while let field = try reader.next() {
            // Fields that don't exist yet are skipped, as every protobuf reader does.
            guard field.number <= 8 else { continue }
            guard field.number == wanted else {
                if case .bytes(let bytes) = field.value, unsafe bytes.isEmpty { continue }
                throw InferenceFailure(
                    "tensor '\(name)' is \(datatype.rawValue), whose contents go into field \(wanted), not \(field.number)"
                )
            }
            switch (datatype, field.value) {
            case (.bytes, .bytes(let element)):
                unsafe output.append(element: element)
            case (.fp16, .bytes(let part)), (.bf16, .bytes(let part)), (.fp32, .bytes(let part)),
                (.fp64, .bytes(let part)):
                guard part.count % (datatype.size ?? 1) == 0 else {
                    throw InferenceFailure(
                        "tensor '\(name)' has packed contents that don't end well"
                    )
                }
                unsafe output.append(part)
            case (.fp32, .fixed32(let bits)): output.append(littleEndian: bits)
            case (.fp64, .fixed64(let bits)): output.append(littleEndian: bits)
            case (_, .varint(let number)):
                try append(number, to: &output)
            case (_, .bytes(let packed)): try unsafe unpack(packed, to: &output)
            default:
                throw InferenceFailure(
                    "tensor '\(name)' has contents of the wrong wire type"
                )
            }
        }
    }

    private func append(_ number: UInt64, to output: inout ByteBuffer) throws(InferenceFailure) {
        switch datatype {
        case .bool: output.append(byte: number == 0 ? 0 : 1)
        case .int8: output.append(littleEndian: try narrow(number, Int32.self) as Int8)
        case .int16: output.append(littleEndian: try narrow(number, Int32.self) as Int16)
        case .int32: output.append(littleEndian: Int32(truncatingIfNeeded: number))
        case .int64, .uint64: output.append(littleEndian: number)
        case .uint8: output.append(littleEndian: try narrow(number, UInt32.self) as UInt8)
        case .uint16: output.append(littleEndian: try narrow(number, UInt32.self) as UInt16)
        case .uint32: output.append(littleEndian: UInt32(truncatingIfNeeded: number))
        case .fp16, .bf16, .fp32, .fp64, .bytes:
            throw InferenceFailure("tensor '\(name)' has contents of the wrong wire type")
        }
    }

    /// A number of the wire's 32 bits as the datatype's 8 or 16, which it must fit.
    private func narrow<Wide: FixedWidthInteger, Narrow: FixedWidthInteger>(
        _ number: UInt64,
        _ wide: Wide.Type
    ) throws(InferenceFailure) -> Narrow {
        let value = Wide(truncatingIfNeeded: number)
        guard let narrow = Narrow(exactly: value) else {
            throw InferenceFailure(
                "tensor '\(name)' takes \(datatype.rawValue), not \(value)"
            )
        }
        return narrow
    }

    private func unpack(
        _ packed: UnsafeRawBufferPointer,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) {
        var index = 0
        while index < packed.count {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            var byte: UInt8 = 0x80
            while byte >= 0x80 {
                guard index < packed.count, shift < 70 else {
                    throw InferenceFailure(
                        "tensor '\(name)' has packed contents that don't end well"
                    )
                }
                byte = unsafe packed[index]
                value |= UInt64(byte & 0x7F) << shift
                shift += 7
                index += 1
            }
            try append(value, to: &output)
        }
    }

    // MARK: - Writing

    /// Appends `raw`, little-endian bytes that fit the datatype, as the message's fields.
    ///
    /// FP16 and BF16 have no such form: the caller sends those raw.
    static func append(
        _ raw: UnsafeRawBufferPointer,
        as datatype: DataType,
        to output: inout ByteBuffer
    ) {
        let field = field(of: datatype)
        guard let size = datatype.size else {
            var elements = unsafe BytesElements(raw)
            while let element = unsafe elements.next() {
                unsafe output.append(field: field, bytes: element)
            }
            return
        }
        guard raw.count > 0 else { return }
        guard datatype != .fp32, datatype != .fp64 else {
            unsafe output.append(field: field, bytes: raw)
            return
        }
        let start = output.beginField(field)
        for offset in stride(from: 0, to: raw.count, by: size) {
            output.append(varint: unsafe number(raw, offset, datatype))
        }
        output.endField(start)
    }

    /// The element at `offset` as its varint; signed numbers are extended to 64 bits.
    private static func number(
        _ raw: UnsafeRawBufferPointer,
        _ offset: Int,
        _ datatype: DataType
    ) -> UInt64 {
        switch datatype {
        case .bool: unsafe raw[offset] == 0 ? 0 : 1
        case .uint8: unsafe UInt64(raw[offset])
        case .int8: unsafe extended(raw.load(fromByteOffset: offset, as: Int8.self))
        case .int16: unsafe extended(raw.loadUnaligned(fromByteOffset: offset, as: Int16.self))
        case .int32: unsafe extended(raw.loadUnaligned(fromByteOffset: offset, as: Int32.self))
        case .uint16, .fp16, .bf16:
            unsafe UInt64(raw.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
        case .uint32, .fp32:
            unsafe UInt64(raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        case .int64, .uint64, .fp64, .bytes:
            unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        }
    }

    private static func extended(_ number: some FixedWidthInteger & SignedInteger) -> UInt64 {
        UInt64(bitPattern: Int64(number))
    }
}

extension ByteBuffer {
    /// Appends a number's bytes, lowest first.
    mutating func append<Number: FixedWidthInteger>(littleEndian number: Number) {
        let size = Number.bitWidth / 8
        unsafe UnsafeMutableRawPointer(reserve(size)).storeBytes(
            of: number.littleEndian,
            as: Number.self
        )
        commit(size)
    }

    /// Appends an element of BYTES behind its length.
    mutating func append(element: UnsafeRawBufferPointer) {
        append(littleEndian: UInt32(truncatingIfNeeded: element.count))
        unsafe append(element)
    }
}
