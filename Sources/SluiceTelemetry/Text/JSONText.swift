// How text from strangers gets into a JSON string
// -----------------------------------------------
// Nearly all of it is plain ASCII, so eight bytes at a time are looked at in one word and copied
// when none of them needs care. A word that does is taken apart: control characters, quotes and
// backslashes are escaped; well-formed UTF-8 passes; any other byte becomes U+FFFD. The reader
// of a log line can rely on valid JSON whatever a peer sent.

import SluiceCore

/// Text inside JSON strings.
enum JSONText {
    /// No text is written beyond this many of its bytes.
    static let lengthMaximum = 256

    /// The most bytes that ``write(_:into:)`` makes of text of `count` bytes.
    @inline(__always)
    static func bound(_ count: Int) -> Int { min(count, lengthMaximum) &* 6 }

    /// Writes `text` without the surrounding quotes.
    ///
    /// Text above ``lengthMaximum`` is cut there, before the first character that doesn't fit
    /// whole.
    static func write(_ text: UnsafeRawBufferPointer, into writer: inout TextWriter) {
        // `text` is borrowed for this call; every load below is guarded by `end`.
        guard let base = text.baseAddress else { return }
        if text.count <= 64, unsafe isPlain(base, text.count) {
            unsafe ShortBytes.copy(base, to: writer.claim(text.count), count: text.count)
            return
        }
        let end = unsafe text.count <= lengthMaximum ? text.count : cut(text)
        var index = 0
        while index + 8 <= end {
            let word = unsafe base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if needsCare(word) {
                let stop = index + 8
                while index < stop { index = unsafe writeOne(text, at: index, end: end, &writer) }
            } else {
                writer.word(word.littleEndian)
                index += 8
            }
        }
        while index < end { index = unsafe writeOne(text, at: index, end: end, &writer) }
    }

    /// Whether none of `count` bytes needs care: short names mostly don't, and are copied whole.
    @inline(__always)
    private static func isPlain(_ base: UnsafeRawPointer, _ count: Int) -> Bool {
        if count >= 8 {
            var offset = 0
            while offset &+ 8 < count {
                let word = unsafe base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if needsCare(word) { return false }
                offset &+= 8
            }
            // The last eight may have been seen in part.
            return unsafe !needsCare(
                base.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            )
        }
        // Shorter ones are put into a word over harmless letters.
        var word: UInt64 = 0x6161_6161_6161_6161
        for index in 0..<count {
            let byte = unsafe base.load(fromByteOffset: index, as: UInt8.self)
            word = word << 8 | UInt64(byte)
        }
        return !needsCare(word)
    }

    /// Whether a byte of `word` is a control character, a quote, a backslash or not ASCII.
    ///
    /// Subtracting borrows into a lane's top bit where the lane was smaller. A borrow can spread
    /// to the next lane, so the answer may be wrongly yes, never wrongly no.
    @inline(__always)
    private static func needsCare(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        let found = (word &- ones &* 0x20) | (quotes &- ones) | (backslashes &- ones) | word
        return found & (ones &* 0x80) != 0
    }

    /// Writes the character at `index` and returns where the next one starts.
    @inline(__always)
    private static func writeOne(
        _ text: UnsafeRawBufferPointer,
        at index: Int,
        end: Int,
        _ writer: inout TextWriter
    ) -> Int {
        let byte = unsafe text[index]
        if byte >= 0x20, byte < 0x80, byte != 0x22, byte != 0x5C {
            writer.byte(byte)
            return index + 1
        }
        return unsafe writeCarefully(text, at: index, end: end, &writer)
    }

    private static func writeCarefully(
        _ text: UnsafeRawBufferPointer,
        at index: Int,
        end: Int,
        _ writer: inout TextWriter
    ) -> Int {
        let byte = unsafe text[index]
        switch byte {
        case 0x22: writer.literal("\\\"")
        case 0x5C: writer.literal("\\\\")
        case 0x0A: writer.literal("\\n")
        case 0x0D: writer.literal("\\r")
        case 0x09: writer.literal("\\t")
        case 0..<0x20:
            writer.literal("\\u00")
            let digits = Hexadecimal.digits(of: UInt32(byte)) >> 48
            writer.byte(UInt8(truncatingIfNeeded: digits))
            writer.byte(UInt8(truncatingIfNeeded: digits >> 8))
        default:
            let length = unsafe characterLength(text, at: index, end: end)
            guard length > 0 else {
                writer.literal("\\ufffd")
                return index + 1
            }
            unsafe writer.bytes(UnsafeRawBufferPointer(rebasing: text[index..<index + length]))
            return index + length
        }
        return index + 1
    }

    /// The bytes of the well-formed multi-byte character at `index`, or 0.
    ///
    /// The Unicode Standard, table 3-7: the second byte's range depends on the first, which rules
    /// out overlong forms, surrogates and numbers above U+10FFFF.
    private static func characterLength(
        _ text: UnsafeRawBufferPointer,
        at index: Int,
        end: Int
    ) -> Int {
        let first = unsafe text[index]
        let second: ClosedRange<UInt8>
        let length: Int
        switch first {
        case 0xC2...0xDF: (second, length) = (0x80...0xBF, 2)
        case 0xE0: (second, length) = (0xA0...0xBF, 3)
        case 0xED: (second, length) = (0x80...0x9F, 3)
        case 0xE1...0xEF: (second, length) = (0x80...0xBF, 3)
        case 0xF0: (second, length) = (0x90...0xBF, 4)
        case 0xF1...0xF3: (second, length) = (0x80...0xBF, 4)
        case 0xF4: (second, length) = (0x80...0x8F, 4)
        default: return 0
        }
        guard index + length <= end, unsafe second.contains(text[index + 1]) else { return 0 }
        for offset in 2..<max(length, 2) where unsafe text[index + offset] & 0xC0 != 0x80 {
            return 0
        }
        return length
    }

    /// Where to cut text above the maximum, so that no character is cut in half.
    private static func cut(_ text: UnsafeRawBufferPointer) -> Int {
        // A well-formed character that spans the cut began at most three bytes before it.
        for start in lengthMaximum - 3..<lengthMaximum
        where unsafe start + characterLength(text, at: start, end: text.count) > lengthMaximum {
            return start
        }
        return lengthMaximum
    }
}
