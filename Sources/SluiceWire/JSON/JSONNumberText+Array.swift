package import SluiceCore

// The elements of tensors as JSON arrays.
extension JSONNumberText {
    /// Appends the elements that lie packed and little-endian in `elements` as a flat array.
    package static func append(
        _ type: JSONNumberType,
        _ elements: UnsafeRawBufferPointer,
        to buffer: inout ByteBuffer
    ) {
        unsafe append(type, elements, shape: [elements.count / type.size], to: &buffer)
    }

    /// Appends the elements that lie packed and little-endian in `elements` as an array of arrays.
    ///
    /// `shape` says how they nest, outermost first; its product must be the number of elements. An
    /// empty shape is a lone number. Without elements the arrays around the first dimension of zero
    /// are written ([1, 0, 4] is `[[]]`), see ``appendEmpty(shape:to:)``. With `nullForNaN` a NaN is
    /// `null`, else the token `NaN`.
    package static func append(
        _ type: JSONNumberType,
        _ elements: UnsafeRawBufferPointer,
        shape: [Int],
        nullForNaN: Bool = false,
        to buffer: inout ByteBuffer
    ) {
        if nullForNaN {
            switch type {
            case .float16:
                return unsafe write(NullForNaN<HalfText>.self, elements, shape, &buffer)
            case .bfloat16:
                return unsafe write(NullForNaN<BrainText>.self, elements, shape, &buffer)
            case .float32:
                return unsafe write(NullForNaN<FloatText>.self, elements, shape, &buffer)
            case .float64:
                return unsafe write(NullForNaN<DoubleText>.self, elements, shape, &buffer)
            default: break
            }
        }
        switch type {
        case .bool: unsafe write(BoolText.self, elements, shape, &buffer)
        case .int8: unsafe write(IntegerText<Int8>.self, elements, shape, &buffer)
        case .int16: unsafe write(IntegerText<Int16>.self, elements, shape, &buffer)
        case .int32: unsafe write(IntegerText<Int32>.self, elements, shape, &buffer)
        case .int64: unsafe write(IntegerText<Int64>.self, elements, shape, &buffer)
        case .uint8: unsafe write(IntegerText<UInt8>.self, elements, shape, &buffer)
        case .uint16: unsafe write(IntegerText<UInt16>.self, elements, shape, &buffer)
        case .uint32: unsafe write(IntegerText<UInt32>.self, elements, shape, &buffer)
        case .uint64: unsafe write(IntegerText<UInt64>.self, elements, shape, &buffer)
        case .float16: unsafe write(HalfText.self, elements, shape, &buffer)
        case .bfloat16: unsafe write(BrainText.self, elements, shape, &buffer)
        case .float32: unsafe write(FloatText.self, elements, shape, &buffer)
        case .float64: unsafe write(DoubleText.self, elements, shape, &buffer)
        }
    }

    @inline(__always)
    private static func write<Element: ElementText>(
        _ element: Element.Type,
        _ elements: UnsafeRawBufferPointer,
        _ shape: [Int],
        _ buffer: inout ByteBuffer
    ) {
        let count = elements.count / Element.size
        guard let base = elements.baseAddress, count > 0 else {
            appendEmpty(shape: shape, to: &buffer)
            return
        }
        precondition(
            product(shape) == count,
            "the shape holds another number of elements"
        )
        guard let row = shape.last else {
            unsafe buffer.commit(Element.write(base, PowersOfFive.table, buffer.reserve(room)))
            return
        }
        let powers = unsafe PowersOfFive.table
        var written = 0
        while written < count {
            brackets(UInt8(ascii: "["), written, shape, &buffer)
            var left = row
            while left > 0 {
                // A piece at a time, so that the room asked for is near what is needed.
                let fragment = min(left, 512)
                let first = unsafe buffer.reserve(fragment * room)
                var place = unsafe first
                for _ in 0..<fragment {
                    unsafe place += Element.write(base + written &* Element.size, powers, place)
                    unsafe place.pointee = ASCII.comma
                    unsafe place += 1
                    written &+= 1
                }
                left -= fragment
                unsafe buffer.commit(place - first)
            }
            buffer.truncate(1)
            brackets(UInt8(ascii: "]"), written, shape, &buffer)
            if written < count { buffer.append(byte: ASCII.comma) }
        }
    }

    /// The most arrays that ``appendEmpty(shape:to:)`` writes for elements that don't exist.
    package static let emptyMaximum = 1 << 20

    /// Appends the arrays of a shape that holds no element: [2, 0, 4] is `[[],[]]`.
    ///
    /// That of [10^12, 0] would have no end: beyond ``emptyMaximum`` arrays it is `[]`.
    package static func appendEmpty(shape: [Int], to buffer: inout ByteBuffer) {
        let outer = Array(shape.prefix { $0 != 0 })
        guard !outer.isEmpty, outer.count < shape.count, let count = product(outer),
            count <= emptyMaximum
        else {
            buffer.append("[]")
            return
        }
        for written in 0..<count {
            if written > 0 { buffer.append(byte: ASCII.comma) }
            brackets(UInt8(ascii: "["), written, outer, &buffer)
            buffer.append("[]")
            brackets(UInt8(ascii: "]"), written + 1, outer, &buffer)
        }
    }

    /// How many elements a shape holds, or nil when that isn't a number from 1 on.
    private static func product(_ shape: [Int]) -> Int? {
        var product = 1
        for size in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: size)
            guard size > 0, !overflow else { return nil }
            product = next
        }
        return product
    }

    /// Appends a bracket for each level at whose edge the element number `written` is.
    private static func brackets(
        _ bracket: UInt8,
        _ written: Int,
        _ shape: [Int],
        _ buffer: inout ByteBuffer
    ) {
        var size = 1
        for level in shape.indices.reversed() {
            size *= shape[level]
            guard written % size == 0 else { return }
            buffer.append(byte: bracket)
        }
    }
}

/// How one element type is written; the loop over an array is compiled for each.
private protocol ElementText {
    static var size: Int { get }
    /// Whether the element that lies at `element` is not a number.
    static func isNaN(_ element: UnsafeRawPointer) -> Bool
    /// Writes the element that lies at `element` to `place`, and returns the text's length.
    static func write(
        _ element: UnsafeRawPointer,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int
}

extension ElementText {
    static func isNaN(_ element: UnsafeRawPointer) -> Bool { false }
}

/// As `Element`, but `null` for NaN: what JSON without tokens of its own can say (orjson, MLServer).
private enum NullForNaN<Element: ElementText>: ElementText {
    static var size: Int { Element.size }

    @inline(__always)
    static func write(
        _ element: UnsafeRawPointer,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        guard unsafe Element.isNaN(element) else {
            return unsafe Element.write(element, powers, place)
        }
        let word: StaticString = "null"
        unsafe ShortBytes.copy(word.utf8Start, to: place, count: word.utf8CodeUnitCount)
        return word.utf8CodeUnitCount
    }
}

private enum FloatText: ElementText {
    static var size: Int { 4 }

    static func isNaN(_ element: UnsafeRawPointer) -> Bool {
        unsafe element.loadUnaligned(as: Float.self).isNaN
    }

    @inline(__always)
    static func write(
        _ element: UnsafeRawPointer,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        unsafe JSONNumberText.write(element.loadUnaligned(as: Float.self), powers, place)
    }
}

private enum DoubleText: ElementText {
    static var size: Int { 8 }

    static func isNaN(_ element: UnsafeRawPointer) -> Bool {
        unsafe element.loadUnaligned(as: Double.self).isNaN
    }

    @inline(__always)
    static func write(
        _ element: UnsafeRawPointer,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        unsafe JSONNumberText.write(element.loadUnaligned(as: Double.self), powers, place)
    }
}

private enum HalfText: ElementText {
    static var size: Int { 2 }

    static func isNaN(_ element: UnsafeRawPointer) -> Bool {
        unsafe element.loadUnaligned(as: UInt16.self) & 0x7FFF > 0x7C00
    }

    @inline(__always)
    static func write(
        _ element: UnsafeRawPointer,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        unsafe JSONNumberText.write(half: element.loadUnaligned(as: UInt16.self), powers, place)
    }
}

private enum BrainText: ElementText {
    static var size: Int { 2 }

    static func isNaN(_ element: UnsafeRawPointer) -> Bool {
        unsafe element.loadUnaligned(as: UInt16.self) & 0x7FFF > 0x7F80
    }

    @inline(__always)
    static func write(
        _ element: UnsafeRawPointer,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        unsafe JSONNumberText.write(brain: element.loadUnaligned(as: UInt16.self), powers, place)
    }
}

private enum IntegerText<Number: FixedWidthInteger & BitwiseCopyable>: ElementText {
    static var size: Int { MemoryLayout<Number>.size }

    @inline(__always)
    static func write(
        _ element: UnsafeRawPointer,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let value = unsafe element.loadUnaligned(as: Number.self)
        return unsafe Number.isSigned
            ? JSONNumberText.write(Int64(truncatingIfNeeded: value), to: place)
            : JSONNumberText.write(UInt64(truncatingIfNeeded: value), to: place)
    }
}

private enum BoolText: ElementText {
    static var size: Int { 1 }

    @inline(__always)
    static func write(
        _ element: UnsafeRawPointer,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let word: StaticString = unsafe element.load(as: UInt8.self) == 0 ? "false" : "true"
        unsafe ShortBytes.copy(word.utf8Start, to: place, count: word.utf8CodeUnitCount)
        return word.utf8CodeUnitCount
    }
}
