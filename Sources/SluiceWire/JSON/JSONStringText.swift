package import SluiceCore

/// Strings as JSON text, in quotes and escaped (RFC 8259 §7).
package enum JSONStringText {
    /// Appends the UTF-8 text in `bytes` as a JSON string.
    ///
    /// Only quotes, backslashes and control characters are escaped. Appends nothing and returns
    /// false when the bytes aren't UTF-8.
    @discardableResult
    package static func append(_ bytes: UnsafeRawBufferPointer, to buffer: inout ByteBuffer) -> Bool
    {
        guard unsafe JSONCursor.isUTF8(bytes) else { return false }
        unsafe appendEscaped(bytes, to: &buffer)
        return true
    }

    /// Appends `text` as a JSON string.
    package static func append(_ text: String, to buffer: inout ByteBuffer) {
        var text = text
        text.withUTF8 { unsafe appendEscaped(UnsafeRawBufferPointer($0), to: &buffer) }
    }

    /// Appends `text` as a JSON string.
    package static func append(_ text: String, to bytes: inout [UInt8]) {
        var text = text
        text.withUTF8 { text in
            let text = UnsafeRawBufferPointer(text)
            unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: lengthMaximum(text)) {
                guard let place = $0.baseAddress else { return }
                let count = unsafe write(text, to: place)
                unsafe bytes.append(contentsOf: $0[..<count])
            }
        }
    }

    /// `text` as a JSON string.
    package static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        append(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func appendEscaped(
        _ bytes: UnsafeRawBufferPointer,
        to buffer: inout ByteBuffer
    ) {
        // What isn't needed is not committed.
        let place = unsafe buffer.reserve(lengthMaximum(bytes))
        unsafe buffer.commit(write(bytes, to: place))
    }

    /// The most bytes that `text` takes: an escape is six at most.
    private static func lengthMaximum(_ text: UnsafeRawBufferPointer) -> Int { 6 * text.count + 2 }

    /// Writes ``lengthMaximum(_:)`` bytes at most to `first`, and returns how many.
    private static func write(
        _ bytes: UnsafeRawBufferPointer,
        to first: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let digits = unsafe StaticString("0123456789abcdef").utf8Start
        var place = unsafe first
        func put(_ byte: UInt8) {
            unsafe place.pointee = byte
            unsafe place += 1
        }
        put(ASCII.quote)
        var index = 0
        while index < bytes.count {
            if bytes.count - index >= 8 {
                let word = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                if JSONCursor.stops(in: word) == 0 {
                    unsafe UnsafeMutableRawPointer(place).storeBytes(of: word, as: UInt64.self)
                    unsafe place += 8
                    index += 8
                    continue
                }
            }
            let byte = unsafe bytes[index]
            index += 1
            if byte >= 0x20, byte != ASCII.quote, byte != UInt8(ascii: "\\") {
                put(byte)
                continue
            }
            put(UInt8(ascii: "\\"))
            switch byte {
            case ASCII.lineFeed: put(UInt8(ascii: "n"))
            case ASCII.carriageReturn: put(UInt8(ascii: "r"))
            case ASCII.tab: put(UInt8(ascii: "t"))
            case 0..<0x20:
                put(UInt8(ascii: "u"))
                put(ASCII.zero)
                put(ASCII.zero)
                unsafe put(digits[Int(byte >> 4)])
                unsafe put(digits[Int(byte & 15)])
            default: put(byte)
            }
        }
        put(ASCII.quote)
        return unsafe place - first
    }
}
