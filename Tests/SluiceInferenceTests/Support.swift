import SluiceCore
import SluiceInference
import Testing

/// Bytes that stay in place for as long as this lives, for messages that tensors borrow from.
@safe
final class Kept {
    let bytes: UnsafeRawBufferPointer

    init(_ source: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 1)
        unsafe memory.copyBytes(from: source)
        unsafe bytes = UnsafeRawBufferPointer(memory)
    }

    convenience init(_ text: String) { self.init(Array(text.utf8)) }

    deinit { unsafe bytes.deallocate() }
}

/// What `write` appends, and what it returns.
func written<Result>(
    _ write: (inout ByteBuffer, inout ByteBuffer) throws(InferenceFailure) -> Result
) throws -> (bytes: [UInt8], result: Result) {
    let pool = BufferPool(retainedMaximum: 0)
    var output = ByteBuffer(pool: pool)
    var scratch = ByteBuffer(pool: pool)
    let result = try write(&output, &scratch)
    return (unsafe [UInt8](output.bytes), result)
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// The sentence of the failure that `body` ends in, or nil.
func sentence(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return (error as? InferenceFailure)?.sentence ?? "\(error)"
    }
}

extension Tensor {
    /// A tensor of any shape, with the edges of its datatype among its elements.
    static func random(
        _ datatype: DataType,
        name: String = "x",
        rows: Int? = nil,
        isText: Bool = true,
        _ random: inout RandomSource
    ) -> Tensor {
        var shape = (0..<random.next(below: 4)).map { _ in random.next(below: 4) }
        if let rows { shape.insert(rows, at: 0) }
        var bytes: [UInt8] = []
        for _ in 0..<shape.reduce(1, *) {
            let bits = random.next()
            let choice = random.next(below: 8)
            switch datatype {
            case .bool: bytes.append(UInt8(bits & 1))
            case .bytes:
                let element =
                    isText
                    ? Array(
                        String(
                            repeating: ["ä\"\n", "plain text", "\u{1}\\"][choice % 3],
                            count: choice % 4
                        ).utf8
                    )
                    : (0..<choice).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                bytes.appendLittleEndian(UInt32(element.count))
                bytes += element
            case .fp16:
                let value = Float16(bitPattern: UInt16(truncatingIfNeeded: bits))
                bytes.appendLittleEndian((value.isNaN ? .nan : value).bitPattern)
            case .bf16:
                let half = UInt16(truncatingIfNeeded: bits)
                bytes.appendLittleEndian(
                    half & 0x7F80 == 0x7F80 && half & 0x7F != 0 ? 0x7FC0 : half
                )
            case .fp32:
                let value = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
                let edges: [Float] = [.nan, .infinity, -.infinity, -0.0, .leastNonzeroMagnitude]
                bytes.appendLittleEndian(
                    (value.isNaN || choice < 5 ? edges[choice % 5] : value).bitPattern
                )
            case .fp64:
                let value = Double(bitPattern: bits)
                let edges: [Double] = [.nan, .infinity, -.infinity, -0.0, .leastNonzeroMagnitude]
                bytes.appendLittleEndian(
                    (value.isNaN || choice < 5 ? edges[choice % 5] : value).bitPattern
                )
            default:
                let number: UInt64 = choice == 0 ? .max : choice == 1 ? 1 << 63 : bits
                for step in 0..<UInt64(datatype.size ?? 1) {
                    bytes.append(UInt8(truncatingIfNeeded: number >> (8 * (7 - step) % 64)))
                }
            }
        }
        return Tensor(name: name, datatype: datatype, shape: shape, bytes: bytes)
    }
}
