private import SluiceCore

/// What reading an element needs to know besides the text.
@safe
struct NumberContext: BitwiseCopyable {
    let end: UnsafePointer<UInt8>
    let allowsNonFinite: Bool
    let nullIsNaN: Bool
    // Kept here so that the loop doesn't ask each time whether the table has been made.
    let powers = unsafe PowersOfFive.table
}

/// How one element type is read and stored; the loop over an array is compiled for each.
protocol NumberElement {
    static var size: Int { get }
    /// How the type is called in messages.
    static var name: String { get }

    /// Reads the element at `place`, which moves behind it, and stores it; false if there is none.
    static func read(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext,
        _ output: UnsafeMutableRawPointer
    ) -> Bool
}

enum FloatElement: NumberElement {
    static var size: Int { 4 }
    static var name: String { "FP32" }

    @inline(__always)
    static func read(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext,
        _ output: UnsafeMutableRawPointer
    ) -> Bool {
        guard let value = unsafe value(&place, context) else { return false }
        unsafe output.storeBytes(of: value, as: Float.self)
        return true
    }

    @inline(__always)
    static func value(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext
    ) -> Float? {
        guard
            let text = unsafe DecimalText(scanning: place, end: context.end, powers: context.powers)
        else {
            return unsafe nonFinite(&place, context)
        }
        guard let value = text.float(powers: context.powers) else { return nil }
        unsafe place = unsafe text.end
        return value
    }

    @inline(never)
    static func nonFinite(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext
    ) -> Float? {
        var cursor = unsafe JSONCursor(
            UnsafeRawBufferPointer(start: place, count: context.end - place)
        )
        if context.nullIsNaN, cursor.take("null") {
            unsafe place = unsafe cursor.place
            return .nan
        }
        guard context.allowsNonFinite else { return nil }
        if cursor.take("NaN") {
            unsafe place = unsafe cursor.place
            return .nan
        }
        let isNegative = cursor.take("-")
        guard cursor.take("Infinity") else { return nil }
        unsafe place = unsafe cursor.place
        return isNegative ? -.infinity : .infinity
    }
}

enum DoubleElement: NumberElement {
    static var size: Int { 8 }
    static var name: String { "FP64" }

    @inline(__always)
    static func read(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext,
        _ output: UnsafeMutableRawPointer
    ) -> Bool {
        if let text = unsafe DecimalText(scanning: place, end: context.end, powers: context.powers)
        {
            guard let value = text.double(powers: context.powers) else { return false }
            unsafe place = unsafe text.end
            unsafe output.storeBytes(of: value, as: Double.self)
            return true
        }
        guard let value = unsafe FloatElement.nonFinite(&place, context) else { return false }
        unsafe output.storeBytes(of: Double(value), as: Double.self)
        return true
    }
}

enum HalfElement: NumberElement {
    static var size: Int { 2 }
    static var name: String { "FP16" }

    @inline(__always)
    static func read(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext,
        _ output: UnsafeMutableRawPointer
    ) -> Bool {
        let first = unsafe place
        guard let value = unsafe FloatElement.value(&place, context) else { return false }
        let half = ShortFloat.half(value)
        guard half & 0x7FFF != 0x7C00 || value.isInfinite else {
            unsafe place = unsafe first
            return false
        }
        unsafe output.storeBytes(of: half, as: UInt16.self)
        return true
    }
}

enum BrainElement: NumberElement {
    static var size: Int { 2 }
    static var name: String { "BF16" }

    @inline(__always)
    static func read(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext,
        _ output: UnsafeMutableRawPointer
    ) -> Bool {
        let first = unsafe place
        guard let value = unsafe FloatElement.value(&place, context) else { return false }
        let brain = ShortFloat.brain(value)
        guard brain & 0x7FFF != 0x7F80 || value.isInfinite else {
            unsafe place = unsafe first
            return false
        }
        unsafe output.storeBytes(of: brain, as: UInt16.self)
        return true
    }
}

enum SignedElement<Number: FixedWidthInteger & SignedInteger & BitwiseCopyable>: NumberElement {
    static var size: Int { MemoryLayout<Number>.size }
    static var name: String { "INT\(Number.bitWidth)" }

    @inline(__always)
    static func read(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext,
        _ output: UnsafeMutableRawPointer
    ) -> Bool {
        guard
            let text = unsafe DecimalText(
                scanning: place,
                end: context.end,
                powers: context.powers
            ),
            // A point or an exponent is rare in whole numbers.
            let magnitude = text.isInteger && text.digits <= 19
                ? text.significand : text.wholeMagnitude
        else { return false }
        // The magnitude of the least number is one more than that of the largest.
        let largest = UInt64(truncatingIfNeeded: Number.max) &+ (text.isNegative ? 1 : 0)
        guard magnitude <= largest else { return false }
        let bits = text.isNegative ? 0 &- magnitude : magnitude
        unsafe output.storeBytes(of: Number(truncatingIfNeeded: bits), as: Number.self)
        unsafe place = unsafe text.end
        return true
    }
}

enum UnsignedElement<Number: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>: NumberElement {
    static var size: Int { MemoryLayout<Number>.size }
    static var name: String { "UINT\(Number.bitWidth)" }

    @inline(__always)
    static func read(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext,
        _ output: UnsafeMutableRawPointer
    ) -> Bool {
        guard
            let text = unsafe DecimalText(
                scanning: place,
                end: context.end,
                powers: context.powers
            ),
            let magnitude = text.isInteger && text.digits <= 19
                ? text.significand : text.wholeMagnitude,
            magnitude <= UInt64(truncatingIfNeeded: Number.max),
            !text.isNegative || magnitude == 0
        else { return false }
        unsafe output.storeBytes(of: Number(truncatingIfNeeded: magnitude), as: Number.self)
        unsafe place = unsafe text.end
        return true
    }
}

enum BoolElement: NumberElement {
    static var size: Int { 1 }
    static var name: String { "BOOL" }

    @inline(__always)
    static func read(
        _ place: inout UnsafePointer<UInt8>,
        _ context: NumberContext,
        _ output: UnsafeMutableRawPointer
    ) -> Bool {
        var cursor = unsafe JSONCursor(
            UnsafeRawBufferPointer(start: place, count: context.end - place)
        )
        let value: UInt8
        if cursor.take("true") {
            value = 1
        } else if cursor.take("false") {
            value = 0
        } else {
            guard
                let text = unsafe DecimalText(
                    scanning: place,
                    end: context.end,
                    powers: context.powers
                ), let number = text.wholeMagnitude, number <= 1, !text.isNegative
            else { return false }
            value = UInt8(number)
            unsafe cursor.place = unsafe text.end
        }
        unsafe output.storeBytes(of: value, as: UInt8.self)
        unsafe place = unsafe cursor.place
        return true
    }
}
