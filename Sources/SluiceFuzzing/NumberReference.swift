import SluiceCore
package import SluiceWire

/// Elements of an array read one by one, slowly, from a tree.
package struct NumberReference {
    package let type: JSONNumberType
    package private(set) var bytes: [UInt8] = []

    /// Nothing read yet.
    package init(type: JSONNumberType) { self.type = type }

    /// The shape, with the elements in ``bytes``; nil when this is no rectangle of such numbers.
    package mutating func read(_ value: JSONValue) -> [Int]? {
        guard case .array(let elements) = value else { return append(value) ? [] : nil }
        var inner: [Int]?
        for element in elements {
            guard let shape = read(element), inner == nil || inner == shape else { return nil }
            inner = shape
        }
        let shape = [elements.count] + (inner ?? [])
        return shape.count <= JSONShape.rankMaximum ? shape : nil
    }

    private mutating func append(_ value: JSONValue) -> Bool {
        switch (type, value) {
        case (.bool, .bool(let flag)): bytes.append(flag ? 1 : 0)
        case (.bool, .number("0")): bytes.append(0)
        case (.bool, .number("1")): bytes.append(1)
        case (.bool, _): return false
        case (.int8, .number(let text)): return append(Int8(text))
        case (.int16, .number(let text)): return append(Int16(text))
        case (.int32, .number(let text)): return append(Int32(text))
        case (.int64, .number(let text)): return append(Int64(text))
        case (.uint8, .number(let text)): return append(UInt8(text))
        case (.uint16, .number(let text)): return append(UInt16(text))
        case (.uint32, .number(let text)): return append(UInt32(text))
        case (.uint64, .number(let text)): return append(UInt64(text))
        case (.float64, .number(let text)): return append(Self.float(text, Double.init)?.bitPattern)
        case (.float32, .number(let text)): return append(Self.float(text, Float.init)?.bitPattern)
        case (.float16, .number(let text)):
            guard let single = Self.float(text, Float.init) else { return false }
            let half = Float16(single)
            return append(half.isInfinite && single.isFinite ? nil : half.bitPattern)
        case (.bfloat16, .number(let text)):
            guard let single = Self.float(text, Float.init) else { return false }
            let brain = ShortFloat.brain(single)
            return append(
                ShortFloat.single(brain: brain).isInfinite && single.isFinite ? nil : brain
            )
        default: return false
        }
        return true
    }

    private mutating func append<Number: FixedWidthInteger>(_ number: Number?) -> Bool {
        guard let number else { return false }
        unsafe withUnsafeBytes(of: number.littleEndian) { unsafe bytes.append(contentsOf: $0) }
        return true
    }

    private static func float<Number: BinaryFloatingPoint>(
        _ text: String,
        _ read: (String) -> Number?
    ) -> Number? {
        switch text {
        case "NaN": .nan
        case "Infinity": .infinity
        case "-Infinity": -.infinity
        default: read(text).flatMap { $0.isFinite ? $0 : nil }
        }
    }
}
