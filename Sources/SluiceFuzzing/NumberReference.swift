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
        case (.bool, .number(let text)) where !text.hasPrefix("-"):
            guard let number: UInt8 = Self.whole(text), number <= 1 else { return false }
            bytes.append(number)
        case (.bool, _): return false
        case (.int8, .number(let text)): return append(Self.whole(text) as Int8?)
        case (.int16, .number(let text)): return append(Self.whole(text) as Int16?)
        case (.int32, .number(let text)): return append(Self.whole(text) as Int32?)
        case (.int64, .number(let text)): return append(Self.whole(text) as Int64?)
        case (.uint8, .number(let text)): return append(Self.whole(text) as UInt8?)
        case (.uint16, .number(let text)): return append(Self.whole(text) as UInt16?)
        case (.uint32, .number(let text)): return append(Self.whole(text) as UInt32?)
        case (.uint64, .number(let text)): return append(Self.whole(text) as UInt64?)
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

    /// A whole number however it is written, by moving its point.
    private static func whole<Number: FixedWidthInteger>(_ text: String) -> Number? {
        let parts = text.lowercased().split(separator: "e", omittingEmptySubsequences: false)
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let sign = mantissa[0].hasPrefix("-") ? "-" : ""
        let fraction = mantissa.count > 1 ? mantissa[1] : ""
        var digits = mantissa[0].drop { $0 == "-" } + fraction
        guard parts.count <= 2, mantissa.count <= 2, digits.allSatisfy(\.isNumber) else {
            return nil
        }
        digits = digits.drop { $0 == "0" }
        guard !digits.isEmpty else { return 0 }
        // An exponent beyond Int is beyond every type, or leaves a fraction.
        guard var power = parts.count > 1 ? Int(parts[1]) : 0 else { return nil }
        power -= fraction.count
        while digits.last == "0" {
            digits.removeLast()
            power += 1
        }
        guard (0...20).contains(power) else { return nil }
        return Number(sign + digits + String(repeating: "0", count: power))
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
