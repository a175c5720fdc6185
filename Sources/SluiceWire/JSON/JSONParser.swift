private import SluiceCore

/// Why bytes aren't JSON.
package struct JSONFailure: Error, Equatable, Sendable {
    /// Where, in bytes from the beginning.
    package let offset: Int
    /// What is wrong there.
    package let sentence: String
}

/// Reads JSON (RFC 8259) into a tree; strict, but for the tokens `NaN`, `Infinity`, `-Infinity`.
///
/// Depth is bounded, so that hostile nesting ends in an error and not in the stack's end.
@safe
package struct JSONParser {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    private var depth = 0
    private static let depthMaximum = 100

    /// The value that `text` spells.
    package static func parse(_ text: [UInt8]) throws(JSONFailure) -> JSONValue {
        let result: Result<JSONValue, JSONFailure> = unsafe text.withUnsafeBytes { bytes in
            var parser = unsafe JSONParser(bytes)
            do throws(JSONFailure) {
                let value = try parser.value()
                parser.skipBlanks()
                guard parser.index == bytes.count else {
                    return .failure(parser.failure("something after the end"))
                }
                return .success(value)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    private func failure(_ sentence: String) -> JSONFailure {
        JSONFailure(offset: index, sentence: sentence)
    }

    private var current: UInt8? { unsafe index < bytes.count ? bytes[index] : nil }

    private mutating func skipBlanks() {
        while let byte = current,
            byte == ASCII.space || byte == ASCII.lineFeed || byte == ASCII.carriageReturn
                || byte == ASCII.tab
        { index += 1 }
    }

    private mutating func value() throws(JSONFailure) -> JSONValue {
        skipBlanks()
        guard let byte = current else { throw failure("a value is missing") }
        switch byte {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "N"): return try word("NaN", .number("NaN"))
        case UInt8(ascii: "I"): return try word("Infinity", .number("Infinity"))
        default: return try number()
        }
    }

    private mutating func word(
        _ text: StaticString, _ value: JSONValue
    ) throws(JSONFailure) -> JSONValue {
        for offset in 0..<text.utf8CodeUnitCount {
            guard unsafe index + offset < bytes.count,
                unsafe bytes[index + offset] == text.utf8Start[offset]
            else { throw failure("not a JSON value") }
        }
        index += text.utf8CodeUnitCount
        return value
    }

    private mutating func number() throws(JSONFailure) -> JSONValue {
        let start = index
        if current == ASCII.dash {
            index += 1
            if current == UInt8(ascii: "I") {
                _ = try word("Infinity", .null)
                return .number("-Infinity")
            }
        }
        guard let first = current, ASCII.isDigit(first) else { throw failure("not a JSON value") }
        if first == ASCII.zero { index += 1 } else { digits() }
        if current == ASCII.dot {
            index += 1
            guard let digit = current, ASCII.isDigit(digit) else {
                throw failure("a digit is missing after the point")
            }
            digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            index += 1
            if current == UInt8(ascii: "+") || current == ASCII.dash { index += 1 }
            guard let digit = current, ASCII.isDigit(digit) else {
                throw failure("a digit is missing in the exponent")
            }
            digits()
        }
        return .number(unsafe String(decoding: bytes[start..<index], as: UTF8.self))
    }

    private mutating func digits() {
        while let byte = current, ASCII.isDigit(byte) { index += 1 }
    }

    private mutating func array() throws(JSONFailure) -> JSONValue {
        try enter()
        index += 1
        var elements: [JSONValue] = []
        skipBlanks()
        if current == UInt8(ascii: "]") {
            index += 1
            depth -= 1
            return .array([])
        }
        while true {
            elements.append(try value())
            skipBlanks()
            guard let byte = current else { throw failure("an array has no end") }
            index += 1
            if byte == UInt8(ascii: "]") { break }
            guard byte == ASCII.comma else {
                index -= 1
                throw failure("a comma or ] is missing")
            }
        }
        depth -= 1
        return .array(elements)
    }

    private mutating func object() throws(JSONFailure) -> JSONValue {
        try enter()
        index += 1
        var members: [JSONValue.Member] = []
        skipBlanks()
        if current == UInt8(ascii: "}") {
            index += 1
            depth -= 1
            return .object([])
        }
        while true {
            skipBlanks()
            guard current == UInt8(ascii: "\"") else { throw failure("a member's name is missing") }
            let name = try string()
            skipBlanks()
            guard current == ASCII.colon else { throw failure("a colon is missing") }
            index += 1
            members.append(.init(name, try value()))
            skipBlanks()
            guard let byte = current else { throw failure("an object has no end") }
            index += 1
            if byte == UInt8(ascii: "}") { break }
            guard byte == ASCII.comma else {
                index -= 1
                throw failure("a comma or } is missing")
            }
        }
        depth -= 1
        return .object(members)
    }

    private mutating func enter() throws(JSONFailure) {
        depth += 1
        guard depth <= JSONParser.depthMaximum else {
            throw failure("nested deeper than \(JSONParser.depthMaximum)")
        }
    }

    private mutating func string() throws(JSONFailure) -> String {
        index += 1
        var text: [UInt8] = []
        while let byte = current {
            index += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let valid = String(validating: text, as: UTF8.self) else {
                    throw failure("a string that is not UTF-8")
                }
                return valid
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw failure("a control character in a string")
            default: text.append(byte)
            }
        }
        throw failure("a string has no end")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONFailure) {
        guard let byte = current else { throw failure("a string has no end") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(ASCII.lineFeed)
        case UInt8(ascii: "r"): text.append(ASCII.carriageReturn)
        case UInt8(ascii: "t"): text.append(ASCII.tab)
        case UInt8(ascii: "u"):
            var unit = try codeUnit()
            if unit >= 0xD800, unit < 0xDC00 {
                guard current == UInt8(ascii: "\\") else { throw failure("half a surrogate pair") }
                index += 1
                guard current == UInt8(ascii: "u") else { throw failure("half a surrogate pair") }
                index += 1
                let low = try codeUnit()
                guard low >= 0xDC00, low < 0xE000 else { throw failure("half a surrogate pair") }
                unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(unit) else { throw failure("half a surrogate pair") }
            text.append(contentsOf: String(scalar).utf8)
        default: throw failure("an unknown escape")
        }
    }

    private mutating func codeUnit() throws(JSONFailure) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = ASCII.hexadecimalValue(byte) else {
                throw failure("\\u wants four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            index += 1
        }
        return value
    }
}
