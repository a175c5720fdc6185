package import SluiceCore

// Arrays of numbers, straight into the memory of a tensor.
//
// This is where the bytes of JSON traffic are: a row of an image is thousands of numbers. One loop
// for each element type, with everything a number needs inlined, no call and no check that isn't
// about the text itself.
extension JSONCursor {
    /// Reads the array of numbers that is next into `memory`, and returns its shape.
    ///
    /// The array may be nested, but must be rectangular: `[[1,2],[3,4]]`, not `[[1],[2,3]]` and not
    /// `[1,[2]]`. A lone number counts as rank 0. The elements are written packed, in the order of
    /// the text, little-endian; `memory` needs no alignment and must have room for all of them.
    ///
    /// - Whole-number types take neither points nor exponents, and nothing out of their range.
    /// - Fractions are rounded once to the nearest; what rounds to infinity is refused, the token
    ///   `Infinity` is how to say it. FP16 and BF16 are rounded through single precision.
    /// - Bools are `true`, `false`, 1 and 0.
    ///
    /// Throws where the text isn't that, and when `memory` is full; what was written until then
    /// stays, and the cursor's place is the error's.
    package mutating func numbers(
        _ type: JSONNumberType,
        into memory: UnsafeMutableRawBufferPointer
    ) throws(JSONFailure) -> JSONShape {
        switch type {
        case .bool: unsafe try read(BoolElement.self, memory)
        case .int8: unsafe try read(SignedElement<Int8>.self, memory)
        case .int16: unsafe try read(SignedElement<Int16>.self, memory)
        case .int32: unsafe try read(SignedElement<Int32>.self, memory)
        case .int64: unsafe try read(SignedElement<Int64>.self, memory)
        case .uint8: unsafe try read(UnsignedElement<UInt8>.self, memory)
        case .uint16: unsafe try read(UnsignedElement<UInt16>.self, memory)
        case .uint32: unsafe try read(UnsignedElement<UInt32>.self, memory)
        case .uint64: unsafe try read(UnsignedElement<UInt64>.self, memory)
        case .float16: unsafe try read(HalfElement.self, memory)
        case .bfloat16: unsafe try read(BrainElement.self, memory)
        case .float32: unsafe try read(FloatElement.self, memory)
        case .float64: unsafe try read(DoubleElement.self, memory)
        }
    }

    /// Reads the array of numbers that is next to the end of `buffer`, and returns its shape.
    ///
    /// As ``numbers(_:into:)``, but finds out first how much room is needed, by counting commas: at
    /// most `type.size` bytes for each of the text's. On an error nothing is appended.
    package mutating func numbers(
        _ type: JSONNumberType,
        appendedTo buffer: inout ByteBuffer
    ) throws(JSONFailure) -> JSONShape {
        let room = type.size * (commasAhead() + 1)
        let place = unsafe UnsafeMutableRawBufferPointer(start: buffer.reserve(room), count: room)
        let shape = unsafe try numbers(type, into: place)
        buffer.commit(type.size * shape.count)
        return shape
    }

    /// How many commas stand before the bracket that closes the array which is next.
    private func commasAhead() -> Int {
        var look = self
        let text =
            unsafe (try? look.skim()) ?? UnsafeRawBufferPointer(start: place, count: end - place)
        var count = 0
        var index = 0
        while text.count - index >= 64, let base = text.baseAddress {
            let bytes = unsafe base.loadUnaligned(fromByteOffset: index, as: SIMD64<UInt8>.self)
            let ones = SIMD64<UInt8>(repeating: 0)
                .replacing(with: 1, where: bytes .== SIMD64(repeating: ASCII.comma))
            count += Int(ones.wrappedSum())
            index += 64
        }
        while index < text.count {
            unsafe count += text[index] == ASCII.comma ? 1 : 0
            index += 1
        }
        return count
    }

    // MARK: - How

    @inline(__always)
    private mutating func read<Element: NumberElement>(
        _ element: Element.Type,
        _ memory: UnsafeMutableRawBufferPointer
    ) throws(JSONFailure) -> JSONShape {
        var shape = JSONShape()
        let context = NumberContext(allowsNonFinite: allowsNonFinite)
        // Room for no element has no address, and is never written.
        let output =
            unsafe memory.baseAddress ?? UnsafeMutableRawPointer(mutating: UnsafeRawPointer(start))
        let capacity = memory.count / Element.size
        guard nextByte() == UInt8(ascii: "[") else {
            guard capacity > 0 else { throw failure("more numbers than the 0 expected") }
            guard unsafe Element.read(&place, end, context, output) else { throw refusal(element) }
            return shape
        }
        // How many elements each open array has so far; -1 in `dimensions` is not yet known.
        var counts = InlineArray<16, Int>(repeating: 0)
        var level = 0
        var written = 0
        var isOpening = true
        repeat {
            if isOpening {
                // The place is at an opening bracket.
                guard level < JSONShape.rankMaximum, level < shape.rank || shape.rank == 0,
                    depth + level < JSONCursor.depthMaximum
                else {
                    throw failure(shape.rank == 0 ? "an array nested too deep" : Self.ragged)
                }
                counts[level] = 0
                level += 1
                unsafe place += 1
                let byte = nextByte()
                if byte == UInt8(ascii: "[") { continue }
                if shape.rank == 0 {
                    shape.rank = level
                    for index in 0..<level { shape.dimensions[index] = -1 }
                }
                guard shape.rank == level else { throw failure(Self.ragged) }
                if byte != UInt8(ascii: "]") {
                    let first = written
                    while true {
                        // A number, and what separates it from the next.
                        guard written < capacity else {
                            throw failure("more numbers than the \(capacity) expected")
                        }
                        guard
                            unsafe Element.read(
                                &place,
                                end,
                                context,
                                output + written &* Element.size
                            )
                        else { throw refusal(element) }
                        written &+= 1
                        var byte = unsafe place < end ? place.pointee : 0
                        if byte <= ASCII.space { byte = nextByte() }
                        guard byte == ASCII.comma else { break }
                        unsafe place += 1
                        if unsafe place < end, unsafe place.pointee <= ASCII.space {
                            unsafe place += 1
                            if unsafe place < end, unsafe place.pointee <= ASCII.space {
                                skipBlanks()
                            }
                        }
                    }
                    counts[level &- 1] = written &- first
                }
            }
            // The innermost array should end here.
            guard nextByte() == UInt8(ascii: "]") else { throw failure("a comma or ] is missing") }
            level -= 1
            if shape.dimensions[level] != counts[level] {
                guard shape.dimensions[level] < 0 else { throw failure(Self.ragged) }
                shape.dimensions[level] = counts[level]
            }
            unsafe place += 1
            guard level > 0 else { return shape }
            counts[level &- 1] &+= 1
            isOpening = nextByte() == ASCII.comma
            if isOpening {
                unsafe place += 1
                guard nextByte() == UInt8(ascii: "[") else { throw failure(Self.ragged) }
            }
        } while true
    }

    private static var ragged: String { "the array isn't rectangular" }

    /// Why there is no element at the place, said the slow way.
    @inline(never)
    private mutating func refusal<Element: NumberElement>(_ type: Element.Type) -> JSONFailure {
        let first = unsafe place
        do throws(JSONFailure) {
            let kind = try peek()
            if kind == .number { _ = try number() }
            unsafe place = unsafe first
            switch kind {
            case .number, .bool: return failure("not a value that \(Element.name) can hold")
            default: return failure("a number is missing here")
            }
        } catch {
            return error
        }
    }
}
