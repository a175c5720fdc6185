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
    /// - Whole-number types take whole numbers however they are written (`5`, `5.0`, `5e0`), and
    ///   nothing out of their range.
    /// - Fractions are rounded once to the nearest; what rounds to infinity is refused, the token
    ///   `Infinity` is how to say it. FP16 and BF16 are rounded through single precision.
    /// - `null` is NaN to floating-point types where ``nullIsNaN`` says so.
    /// - Bools are `true`, `false`, 1 and 0.
    ///
    /// Throws where the text isn't that, and when `memory` is full; what was written until then
    /// stays, and the cursor's place is the error's.
    package mutating func numbers(
        _ type: JSONNumberType,
        into memory: UnsafeMutableRawBufferPointer
    ) throws(JSONFailure) -> JSONShape {
        unsafe try read(type, memory, nil)
    }

    /// Reads the array of numbers that is next to the end of `buffer`, and returns its shape.
    ///
    /// As ``numbers(_:into:)``, but makes room as the elements come, never more than nine times
    /// what they needed so far. On an error nothing is appended.
    package mutating func numbers(
        _ type: JSONNumberType,
        appendedTo buffer: inout ByteBuffer
    ) throws(JSONFailure) -> JSONShape {
        let before = buffer.count
        do throws(JSONFailure) {
            return unsafe try withUnsafeMutablePointer(to: &buffer) { growing throws(JSONFailure) in
                unsafe try read(type, UnsafeMutableRawBufferPointer(start: nil, count: 0), growing)
            }
        } catch {
            buffer.truncate(buffer.count - before)
            throw error
        }
    }

    // MARK: - How

    private mutating func read(
        _ type: JSONNumberType,
        _ memory: UnsafeMutableRawBufferPointer,
        _ growing: UnsafeMutablePointer<ByteBuffer>?
    ) throws(JSONFailure) -> JSONShape {
        switch type {
        case .bool: unsafe try read(BoolElement.self, memory, growing)
        case .int8: unsafe try read(SignedElement<Int8>.self, memory, growing)
        case .int16: unsafe try read(SignedElement<Int16>.self, memory, growing)
        case .int32: unsafe try read(SignedElement<Int32>.self, memory, growing)
        case .int64: unsafe try read(SignedElement<Int64>.self, memory, growing)
        case .uint8: unsafe try read(UnsignedElement<UInt8>.self, memory, growing)
        case .uint16: unsafe try read(UnsignedElement<UInt16>.self, memory, growing)
        case .uint32: unsafe try read(UnsignedElement<UInt32>.self, memory, growing)
        case .uint64: unsafe try read(UnsignedElement<UInt64>.self, memory, growing)
        case .float16: unsafe try read(HalfElement.self, memory, growing)
        case .bfloat16: unsafe try read(BrainElement.self, memory, growing)
        case .float32: unsafe try read(FloatElement.self, memory, growing)
        case .float64: unsafe try read(DoubleElement.self, memory, growing)
        }
    }

    @inline(__always)
    private mutating func read<Element: NumberElement>(
        _ element: Element.Type,
        _ memory: UnsafeMutableRawBufferPointer,
        _ growing: UnsafeMutablePointer<ByteBuffer>?
    ) throws(JSONFailure) -> JSONShape {
        var shape = JSONShape()
        var output = unsafe NumberOutput(memory, growing, Element.size)
        let context = unsafe NumberContext(
            end: end,
            allowsNonFinite: allowsNonFinite,
            nullIsNaN: nullIsNaN
        )
        guard nextByte() == UInt8(ascii: "[") else {
            guard output.hasRoom(0, ahead: 0) else { throw tooMany(0) }
            guard unsafe Element.read(&place, context, output.next) else { throw refusal(element) }
            unsafe output.next += Element.size
            output.commit()
            return shape
        }
        // How many elements each open array has so far; -1 in `dimensions` is not yet known.
        var counts = InlineArray<16, Int>(repeating: 0)
        let first = unsafe place
        var level = 0
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
                    var count = 0
                    // In a variable of its own the place can stay in a register.
                    var step = unsafe place
                    while true {
                        // A number, and what separates it from the next.
                        guard
                            unsafe output.next < output.limit
                                || output.hasRoom(step - first, ahead: end - step)
                        else {
                            unsafe place = unsafe step
                            throw tooMany(memory.count / Element.size)
                        }
                        guard unsafe Element.read(&step, context, output.next) else {
                            unsafe place = unsafe step
                            throw refusal(element)
                        }
                        unsafe output.next += Element.size
                        count &+= 1
                        if unsafe step < end, unsafe step.pointee <= ASCII.space {
                            unsafe step = unsafe JSONCursor.afterBlanks(step, end)
                        }
                        guard unsafe step < end, unsafe step.pointee == ASCII.comma else { break }
                        unsafe step += 1
                        if unsafe step < end, unsafe step.pointee <= ASCII.space {
                            // One blank is Python's way; more are rare.
                            if unsafe step.pointee == ASCII.space { unsafe step += 1 }
                            unsafe step = unsafe JSONCursor.afterBlanks(step, end)
                        }
                    }
                    unsafe place = unsafe step
                    counts[level &- 1] = count
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
            guard level > 0 else {
                output.commit()
                return shape
            }
            counts[level &- 1] &+= 1
            isOpening = nextByte() == ASCII.comma
            if isOpening {
                unsafe place += 1
                guard nextByte() == UInt8(ascii: "[") else { throw failure(Self.ragged) }
            }
        } while true
    }

    private func tooMany(_ expected: Int) -> JSONFailure {
        failure("more numbers than the \(expected) expected")
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
