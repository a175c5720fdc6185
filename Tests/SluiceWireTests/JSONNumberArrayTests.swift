import SluiceCore
import SluiceFuzzing
import SluiceTestKit
import SluiceWire
import Testing

@Suite("JSON arrays of numbers")
struct JSONNumberArrayTests {
    /// The elements that `text` holds, as bytes, and their shape; or the error.
    static func read(
        _ type: JSONNumberType,
        _ text: String,
        capacity: Int = 1000
    ) -> Result<(bytes: [UInt8], shape: [Int]), JSONFailure> {
        let input = Array(text.utf8)
        return unsafe GuardedText(capacity: input.count).with(input) { input in
            var bytes = [UInt8](repeating: 0xAA, count: capacity * type.size)
            var cursor = unsafe JSONCursor(input)
            let fixed: Result<JSONShape, JSONFailure> = unsafe bytes.withUnsafeMutableBytes {
                output in
                do throws(JSONFailure) {
                    return unsafe .success(try cursor.numbers(type, into: output))
                } catch {
                    return .failure(error)
                }
            }
            // The buffer that grows gets the same.
            let pool = BufferPool()
            var buffer = ByteBuffer(pool: pool)
            buffer.append("before")
            var again = unsafe JSONCursor(input)
            let grown = try? again.numbers(type, appendedTo: &buffer)
            switch fixed {
            case .success(let shape):
                #expect(cursor.offset == again.offset)
                #expect(grown?.array == shape.array)
                bytes.removeLast(bytes.count - shape.count * type.size)
                let rest = unsafe Array(buffer.bytes.dropFirst(6))
                #expect(rest == bytes)
                return .success((bytes, shape.array))
            case .failure(let failure):
                #expect(cursor.offset == failure.offset)
                // A growing buffer is never full.
                if !failure.sentence.hasPrefix("more numbers") {
                    #expect(grown == nil && buffer.count == 6)
                }
                return .failure(failure)
            }
        }
    }

    static func packed<Number>(_ numbers: [Number]) -> [UInt8] {
        unsafe numbers.withUnsafeBytes { unsafe Array($0) }
    }

    static func shape(_ text: String) -> [Int]? { try? read(.float32, text).get().shape }

    static func sentence(_ type: JSONNumberType, _ text: String, capacity: Int = 1000) -> String? {
        if case .failure(let failure) = read(type, text, capacity: capacity) {
            return "\(failure.offset): \(failure.sentence)"
        }
        return nil
    }

    @Test(
        "Rectangular arrays have a shape",
        arguments: [
            ("[]", [0]), ("[1]", [1]), ("[1,2,3]", [3]), ("[[1,2],[3,4],[5,6]]", [3, 2]), ("5", []),
            ("[[]]", [1, 0]), ("[[],[]]", [2, 0]), ("[[[1],[2]],[[3],[4]]]", [2, 2, 1]),
            (" 1 ", []),
            (" [ [ 1 , 2 ] , [ 3 ,\n4 ] ] ", [2, 2]),
            ("[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]", Array(repeating: 1, count: 16)),
        ] as [(String, [Int])]
    )
    func shapes(text: String, shape: [Int]) {
        #expect(Self.shape(text) == shape)
    }

    @Test(
        "Other arrays are refused at their place",
        arguments: [
            ("[[1],[2,3]]", 9), ("[1,[2]]", 3), ("[[1],2]", 5), ("[[1],[]]", 6), ("[[],[1]]", 6),
            ("[[],[[]]]", 5), ("[[[]],[]]", 7), ("[[1,2],[3]]", 9), ("[1", 2), ("[1,", 3), ("[", 1),
            ("[1,]", 3), ("[,1]", 1),
            ("[1 2]", 3), ("[[1],]", 5), ("[[1]", 4), ("[1}", 2), ("[1,null]", 3), ("[\"1\"]", 1),
            ("[{}]", 1), ("{}", 0), ("", 0), ("[1,true]", 3), ("[1,-]", 3), ("[1,01]", 3),
            ("[1e999]", 1), ("[1,1e39]", 3),
            ("[[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]]", 16), ("[1.5x]", 4), ("[nan]", 1), ("[.5]", 1),
            ("[1.]", 1),
        ]
    )
    func refused(text: String, offset: Int) {
        guard case .failure(let failure) = Self.read(.float32, text) else {
            Issue.record("accepted")
            return
        }
        #expect(failure.offset == offset, "\(failure.sentence)")
    }

    @Test("Each type takes what it can hold, and no more")
    func ranges() {
        func check<Number: FixedWidthInteger>(_ type: JSONNumberType, _ number: Number.Type) {
            let (least, most) = (Number.min, Number.max)
            let bytes = try? Self.read(type, "[\(least),\(most),0]").get().bytes
            #expect(bytes == Self.packed([least, most, 0]))
            for text in [
                "\(most)0", "1.01", "1e-1", "1e20", "-", "true", "1.5", "NaN", "9\(UInt64.max)",
            ] {
                #expect(Self.sentence(type, "[\(text)]") != nil, "\(type) \(text)")
            }
            let above = UInt64(most) == .max ? "18446744073709551616" : "\(UInt64(most) + 1)"
            #expect(Self.sentence(type, "[\(above)]") != nil)
            #expect((try? Self.read(type, "[-0]").get().bytes) == Self.packed([Number(0)]))
            // Pandas, JavaScript's toFixed and others write whole numbers so.
            let written =
                "[5.0,5e0,50e-1,0.5e1,500.00E-2,-0.0,0e99,\(most).0,\(most).000000000000000000]"
            let bytesOfWhole = try? Self.read(type, written).get().bytes
            let numbers = Array(repeating: Number(5), count: 5) + [0, 0, most, most]
            #expect(bytesOfWhole == Self.packed(numbers))
        }
        check(.int8, Int8.self)
        check(.int16, Int16.self)
        check(.int32, Int32.self)
        check(.int64, Int64.self)
        check(.uint8, UInt8.self)
        check(.uint16, UInt16.self)
        check(.uint32, UInt32.self)
        check(.uint64, UInt64.self)
        #expect(Self.sentence(.int8, "[-129]") == "1: not a value that INT8 can hold")
        #expect(Self.sentence(.int64, "[-9223372036854775809]") != nil)
        #expect(Self.sentence(.uint8, "[1,-1]") == "3: not a value that UINT8 can hold")
        #expect(Self.sentence(.float16, "[65519,65520]") == "7: not a value that FP16 can hold")
        #expect(Self.sentence(.bfloat16, "[3.4e38]") == "1: not a value that BF16 can hold")
    }

    @Test("Bools are words or bits")
    func bools() {
        #expect((try? Self.read(.bool, "[true,false,1,0]").get().bytes) == [1, 0, 1, 0])
        #expect((try? Self.read(.bool, "[1.0,0.0,1e0]").get().bytes) == [1, 0, 1])
        for text in [
            "[2]", "[1.5]", "[10]", "[-1]", "[-0]", "[tru]", "[null]", "[truee]", "[00]",
            "[\"true\"]",
        ] {
            #expect(Self.sentence(.bool, text) != nil, "\(text)")
        }
    }

    @Test("Tokens become what they name")
    func tokens() {
        let bytes = try? Self.read(.float64, "[NaN,Infinity,-Infinity]").get().bytes
        #expect(bytes == Self.packed([Double.nan, .infinity, -.infinity]))
        #expect((try? Self.read(.float16, "[Infinity]").get().bytes) == [0x00, 0x7C])
        #expect((try? Self.read(.bfloat16, "[NaN,1]").get().bytes) == [0xC0, 0x7F, 0x80, 0x3F])
        let isRefused = unsafe Array("[NaN]".utf8).withUnsafeBytes { bytes in
            var cursor = unsafe JSONCursor(bytes, allowsNonFinite: false)
            return unsafe withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { output in
                unsafe (try? cursor.numbers(.float64, into: output)) == nil
            }
        }
        #expect(isRefused)
    }

    @Test("Memory that is full takes no more")
    func full() {
        #expect(
            Self.sentence(.float32, "[1,2,3]", capacity: 2) == "5: more numbers than the 2 expected"
        )
        #expect(Self.sentence(.float32, "[1,2,3]", capacity: 3) == nil)
        #expect(Self.sentence(.uint8, "[]", capacity: 0) == nil)
        #expect(Self.sentence(.uint8, "7", capacity: 0) == "0: more numbers than the 0 expected")
    }

    @Test("What is written reads back", arguments: JSONNumberType.allCases)
    func roundTrip(type: JSONNumberType) {
        var random = RandomSource(seed: UInt64(type.rawValue))
        for shape in [[1], [7], [3, 5], [2, 3, 4], [1, 1, 1, 1], [1000], [10, 0], []] as [[Int]] {
            let count = shape.reduce(1, *)
            var bytes = (0..<count * type.size).map { _ in
                UInt8(truncatingIfNeeded: random.next() as UInt64)
            }
            if type == .bool { bytes = bytes.map { $0 & 1 } }
            // NaNs lose their payload: have none.
            for index in stride(from: type.size - 1, to: bytes.count, by: type.size)
            where type.rawValue >= 9 {
                bytes[index] &= 0xB7
            }
            let text = JSONNumberTextTests.array(type, bytes, shape: shape)
            let result = try? Self.read(type, text).get()
            #expect(result?.bytes == bytes)
            #expect(result?.shape == shape)
        }
    }

    @Test(
        "Arrays without elements nest as far as the first dimension of zero",
        arguments: [
            ([0], "[]"), ([1, 0, 4], "[[]]"), ([2, 0], "[[],[]]"),
            ([2, 2, 0], "[[[],[]],[[],[]]]"),
            ([0, 3], "[]"), ([1_000_000_000_000, 0], "[]"), ([1, -1, 0], "[]"),
        ] as [([Int], String)]
    )
    func empty(shape: [Int], text: String) {
        #expect(JSONNumberTextTests.array(.float32, [], shape: shape) == text)
    }

    @Test("Null is NaN where it was agreed, both ways, and nothing elsewhere")
    func nulls() {
        let types: [(JSONNumberType, [UInt8])] = [
            (.float16, [0, 0x3C]), (.bfloat16, [0x80, 0x3F]), (.float32, [0, 0, 0x80, 0x3F]),
            (.float64, [0, 0, 0, 0, 0, 0, 0xF0, 0x3F]),
        ]
        for (type, one) in types {
            var buffer = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            let isRead = unsafe Array("[1,null]".utf8).withUnsafeBytes { bytes in
                var cursor = unsafe JSONCursor(bytes, nullIsNaN: true)
                return (try? cursor.numbers(type, appendedTo: &buffer))?.array == [2]
            }
            #expect(isRead, "\(type)")
            #expect(unsafe Array(buffer.bytes.prefix(type.size)) == one)
            var text = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            unsafe JSONNumberText.append(
                type,
                buffer.bytes,
                shape: [2, 1],
                nullForNaN: true,
                to: &text
            )
            #expect(unsafe String(decoding: text.bytes, as: UTF8.self) == "[[1.0],[null]]")
            #expect(Self.sentence(type, "[null]") != nil)
        }
        let isRead = unsafe Array("[null]".utf8).withUnsafeBytes { bytes in
            var cursor = unsafe JSONCursor(bytes, nullIsNaN: true)
            var buffer = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            return (try? cursor.numbers(.int32, appendedTo: &buffer)) != nil
        }
        #expect(!isRead, "no whole number is NaN")
    }
}
