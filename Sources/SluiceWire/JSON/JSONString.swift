package import SluiceCore

/// A string in a JSON text: what stands between its quotes, already found well-formed.
///
/// The bytes are UTF-8, each escape is a known one and surrogates come in pairs. They belong to
/// whoever owns the text, and live as long.
@safe
package struct JSONString: BitwiseCopyable {
    /// The bytes between the quotes, escapes and all.
    package let raw: UnsafeRawBufferPointer
    /// Whether there is no escape, so that ``raw`` is the string.
    package let isPlain: Bool

    /// Copies the string without escapes to `place`, and returns its length in bytes.
    ///
    /// There must be room for `raw.count` bytes: a string is never longer than its text.
    package func unescape(to place: UnsafeMutablePointer<UInt8>) -> Int {
        guard let base = unsafe raw.baseAddress else { return 0 }
        if isPlain {
            unsafe UnsafeMutableRawPointer(place).copyMemory(from: base, byteCount: raw.count)
            return unsafe raw.count
        }
        var read = 0
        var written = 0
        while unsafe read < raw.count {
            let byte = unsafe raw[read]
            read += 1
            guard byte == UInt8(ascii: "\\") else {
                unsafe place[written] = byte
                written += 1
                continue
            }
            let kind = unsafe raw[read]
            read += 1
            if kind == UInt8(ascii: "u") {
                var scalar = unsafe JSONEscape.codeUnit(base + read)
                read += 4
                if scalar & 0xF800 == 0xD800 {
                    // The scan saw that the other half follows.
                    scalar =
                        unsafe 0x10000 + (scalar & 0x3FF) << 10 + JSONEscape.codeUnit(
                            base + read + 2
                        ) & 0x3FF
                    read += 6
                }
                unsafe written += JSONEscape.encode(scalar, to: place + written)
            } else {
                unsafe place[written] = JSONEscape.meaning(of: kind)
                written += 1
            }
        }
        return written
    }

    /// Appends the string without escapes to `buffer`, and returns its length in bytes.
    @discardableResult
    package func append(to buffer: inout ByteBuffer) -> Int {
        let length = unsafe unescape(to: buffer.reserve(max(1, raw.count)))
        buffer.commit(length)
        return length
    }

    /// The string; for cold paths.
    package var string: String {
        unsafe String(unsafeUninitializedCapacity: raw.count) { memory in
            guard let place = memory.baseAddress else { return 0 }
            return unsafe unescape(to: place)
        }
    }

    /// Whether the string is `text`, byte for byte, however it is escaped.
    package func equals(_ text: StaticString) -> Bool {
        guard isPlain else { return string.utf8.elementsEqual(text.description.utf8) }
        guard unsafe raw.count == text.utf8CodeUnitCount else { return false }
        guard let base = unsafe raw.baseAddress else { return true }
        return unsafe ShortBytes.equal(base, UnsafeRawPointer(text.utf8Start), count: raw.count)
    }

    /// Whether the string is `text`, so that a `switch` can look at names.
    package static func ~= (text: StaticString, string: JSONString) -> Bool {
        string.equals(text)
    }
}
