/// Base64 (RFC 4648 §4) as `-bin` metadata and embedded data use it; padding is optional.
package enum Base64 {
    /// The bytes that `text` spells, or nil when it isn't base64.
    package static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for byte in text {
            let value: UInt32
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(byte - UInt8(ascii: "A"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"):
                value = UInt32(byte - UInt8(ascii: "a")) + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                value = UInt32(byte - UInt8(ascii: "0")) + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="):
                padding += 1
                continue
            default: return nil
            }
            guard padding == 0 else { return nil }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                result.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
                bits &= (1 << UInt32(count)) - 1
            }
        }
        // Six left-over bits are half a byte that never came; padding is at most two.
        guard count < 6, padding <= 2, bits == 0 else { return nil }
        return result
    }

    /// Appends `bytes` as base64 with padding.
    package static func append(_ bytes: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        let alphabet = StaticString(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        )
        guard bytes.count > 0 else { return }
        let length = (bytes.count + 2) / 3 * 4
        // Room for exactly what is written; six bits are below 64, the alphabet's length.
        var place = unsafe output.reserve(length)
        var index = 0
        while index < bytes.count {
            let left = min(3, bytes.count - index)
            var bits: UInt32 = 0
            for step in 0..<left {
                unsafe bits |= UInt32(bytes[index + step]) << UInt32(16 - 8 * step)
            }
            for step in 0..<4 {
                unsafe place[step] =
                    step <= left
                    ? alphabet.utf8Start[Int(bits >> UInt32(18 - 6 * step) & 63)]
                    : UInt8(ascii: "=")
            }
            unsafe place += 4
            index += left
        }
        output.commit(length)
    }
}
