private import SluiceCore

// Values as slices of the text.
extension JSONCursor {
    /// Steps over the value that is next, checks all of it, and returns its text.
    ///
    /// For what goes on as it is. One bit per open bracket tells arrays from objects, so nothing
    /// recurses and nothing is allocated.
    @discardableResult
    package mutating func skip() throws(JSONFailure) -> UnsafeRawBufferPointer {
        skipBlanks()
        let first = unsafe place
        // Bit 0 is the innermost bracket: 1 for an object.
        var objects: UInt64 = 0
        var open = 0
        repeat {
            let byte = nextByte()
            if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
                guard depth + open < JSONCursor.depthMaximum else {
                    throw failure("nested deeper than \(JSONCursor.depthMaximum)")
                }
                let isObject = byte == UInt8(ascii: "{")
                objects = objects << 1 | (isObject ? 1 : 0)
                open += 1
                unsafe place += 1
                if nextByte() != (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    if isObject { try skipName() }
                    continue
                }
                objects >>= 1
                open -= 1
                unsafe place += 1
            } else {
                try skipScalar(byte)
            }
            // A value has ended: close what ends with it, or step to the next one.
            while open > 0 {
                let isObject = objects & 1 == 1
                let next = nextByte()
                if next == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    objects >>= 1
                    open -= 1
                    unsafe place += 1
                    continue
                }
                guard next == ASCII.comma else {
                    throw failure(isObject ? "a comma or } is missing" : "a comma or ] is missing")
                }
                unsafe place += 1
                if isObject { try skipName() }
                break
            }
        } while open > 0
        return unsafe UnsafeRawBufferPointer(start: first, count: place - first)
    }

    /// Steps over the value that is next without reading it, and returns its text.
    ///
    /// Only for a slice that is read later: brackets and quotes are matched by number, nothing
    /// else is checked. Arrays of numbers pass at eight bytes a step.
    @discardableResult
    package mutating func skim() throws(JSONFailure) -> UnsafeRawBufferPointer {
        let byte = nextByte()
        guard byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") else {
            return unsafe try skip()
        }
        let first = unsafe place
        var open = 0
        while unsafe place < end {
            unsafe place = unsafe JSONCursor.nextStructure(place, end)
            guard unsafe place < end else { break }
            switch unsafe place.pointee {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                open += 1
                guard depth + open <= JSONCursor.depthMaximum else {
                    throw failure("nested deeper than \(JSONCursor.depthMaximum)")
                }
                unsafe place += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                open -= 1
                unsafe place += 1
                if open == 0 {
                    return unsafe UnsafeRawBufferPointer(start: first, count: place - first)
                }
            case ASCII.quote: _ = try scanString()
            default: unsafe place += 1
            }
        }
        throw failure("an array or object has no end")
    }

    /// The next place where a bracket, brace or quote may stand.
    ///
    /// With the bit 0x20 set, `[` and `{` are 0x7B and `]` and `}` are 0x7D; no other JSON
    /// character outside of strings is either.
    private static func nextStructure(
        _ place: UnsafePointer<UInt8>,
        _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8> {
        var place = unsafe place
        let ones: UInt64 = 0x0101_0101_0101_0101
        while unsafe end - place >= 8 {
            let word = unsafe UnsafeRawPointer(place).loadUnaligned(as: UInt64.self)
            let folded = word | ones &* 0x20
            let opening = folded ^ ones &* 0x7B
            let closing = folded ^ ones &* 0x7D
            let quotes = word ^ ones &* UInt64(ASCII.quote)
            let found =
                ((opening &- ones) & ~opening | (closing &- ones) & ~closing
                    | (quotes &- ones) & ~quotes) & everyHighBit
            if found != 0 { return unsafe place + found.trailingZeroBitCount / 8 }
            unsafe place += 8
        }
        while unsafe place < end {
            let byte = unsafe place.pointee
            if byte | 0x20 == 0x7B || byte | 0x20 == 0x7D || byte == ASCII.quote { break }
            unsafe place += 1
        }
        return unsafe place
    }

    private mutating func skipName() throws(JSONFailure) {
        guard nextByte() == ASCII.quote else { throw failure("a member's name is missing") }
        _ = try scanString()
        guard nextByte() == ASCII.colon else { throw failure("a colon is missing") }
        unsafe place += 1
    }

    private mutating func skipScalar(_ byte: UInt8) throws(JSONFailure) {
        let isKnown: Bool
        switch byte {
        case ASCII.quote:
            _ = try scanString()
            isKnown = true
        case UInt8(ascii: "t"): isKnown = take("true")
        case UInt8(ascii: "f"): isKnown = take("false")
        case UInt8(ascii: "n"): isKnown = take("null")
        case ASCII.dash, ASCII.zero...ASCII.nine, UInt8(ascii: "N"), UInt8(ascii: "I"):
            _ = try scanNumber()
            isKnown = true
        default: isKnown = false
        }
        guard isKnown else { throw notAValue() }
    }
}
