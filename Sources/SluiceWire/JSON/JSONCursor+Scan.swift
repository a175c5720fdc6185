private import SluiceCore

// Strings and numbers, byte for byte.
extension JSONCursor {
    /// Reads the string whose quote stands here.
    mutating func scanString() throws(JSONFailure) -> JSONString {
        let first = unsafe place + 1
        unsafe place = unsafe first
        var isPlain = true
        var highBits: UInt64 = 0
        while true {
            // Eight bytes a step, up to the first that is a quote, a backslash or a control.
            while unsafe end - place >= 8 {
                let word = unsafe UnsafeRawPointer(place).loadUnaligned(as: UInt64.self)
                let stops = JSONCursor.stops(in: word)
                if stops == 0 {
                    highBits |= word
                    unsafe place += 8
                    continue
                }
                let clean = stops.trailingZeroBitCount & ~7
                highBits |= word & ((1 &<< UInt64(clean)) &- 1)
                unsafe place += clean / 8
                break
            }
            guard unsafe place < end else { throw failure("a string has no end") }
            switch unsafe place.pointee {
            case ASCII.quote:
                let raw = unsafe UnsafeRawBufferPointer(start: first, count: place - first)
                if highBits & JSONCursor.everyHighBit != 0, unsafe !JSONCursor.isUTF8(raw) {
                    unsafe place = unsafe first - 1
                    throw failure("a string that is not UTF-8")
                }
                unsafe place += 1
                return unsafe JSONString(raw: raw, isPlain: isPlain)
            case UInt8(ascii: "\\"):
                guard let length = unsafe JSONEscape.length(at: place, end: end) else {
                    throw failure("an unknown escape, or half a surrogate pair")
                }
                isPlain = false
                unsafe place += length
            case 0..<0x20: throw failure("a control character in a string")
            default:
                unsafe highBits |= UInt64(place.pointee)
                unsafe place += 1
            }
        }
    }

    /// Reads the number that begins here, or one of the tokens.
    mutating func scanNumber() throws(JSONFailure) -> JSONNumber {
        let first = unsafe place
        guard let text = unsafe DecimalText(scanning: first, end: end, powers: PowersOfFive.table)
        else {
            guard allowsNonFinite else { throw failure("not a JSON number") }
            _ =
                unsafe place < end && place.pointee == ASCII.dash && end - place > 1
                && place[1] == UInt8(ascii: "I") && take("-")
            guard unsafe take("Infinity") || (place == first && take("NaN")) else {
                unsafe place = unsafe first
                throw failure("not a JSON number")
            }
            return unsafe JSONNumber(
                raw: UnsafeRawBufferPointer(start: first, count: place - first),
                isInteger: false
            )
        }
        unsafe place = unsafe text.end
        return unsafe JSONNumber(
            raw: UnsafeRawBufferPointer(start: first, count: place - first),
            isInteger: text.isInteger
        )
    }

    static var everyHighBit: UInt64 { 0x8080_8080_8080_8080 }

    /// High bits of the bytes that end a clean run of a string; the lowest one is exact.
    ///
    /// A borrow out of a byte that matches can mark the byte above it too, never one below.
    @inline(__always)
    static func stops(in word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* UInt64(ASCII.quote))
        let slashes = word ^ (ones &* 0x5C)
        return
            ((quotes &- ones) & ~quotes | (slashes &- ones) & ~slashes
            | (word &- ones &* 0x20) & ~word) & everyHighBit
    }

    static func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let span = unsafe Span<UInt8>(_unsafeBytes: bytes)
        return (try? UTF8Span(validating: span)) != nil
    }
}
