import Foundation
package import SluiceWire

/// Whether readers take a text for JSON.
package enum JSONVerdict {
    /// Our reader, which checks as it skips.
    package static func skip(_ text: UnsafeRawBufferPointer, allowsNonFinite: Bool = false) -> Bool
    {
        var cursor = unsafe JSONCursor(text, allowsNonFinite: allowsNonFinite)
        do {
            unsafe try cursor.skip()
            try cursor.finish()
            return true
        } catch {
            return false
        }
    }

    /// Our reader, which asks for each value, and hands out what it found.
    package static func walk(
        _ text: UnsafeRawBufferPointer,
        allowsNonFinite: Bool = false
    ) -> JSONValue? {
        var cursor = unsafe JSONCursor(text, allowsNonFinite: allowsNonFinite)
        do {
            let value = try value(&cursor)
            try cursor.finish()
            return value
        } catch {
            return nil
        }
    }

    private static func value(_ cursor: inout JSONCursor) throws(JSONFailure) -> JSONValue {
        switch try cursor.peek() {
        case .null:
            try cursor.null()
            return .null
        case .bool: return .bool(try cursor.bool())
        case .number:
            return unsafe .number(String(decoding: try cursor.number().raw, as: UTF8.self))
        case .string: return .string(try cursor.string().string)
        case .array:
            var elements: [JSONValue] = []
            try cursor.enterArray()
            while try cursor.nextElement() { elements.append(try value(&cursor)) }
            return .array(elements)
        case .object:
            var members: [JSONValue.Member] = []
            try cursor.enterObject()
            while let name = try cursor.nextMember() {
                members.append(.init(name.string, try value(&cursor)))
            }
            return .object(members)
        }
    }

    /// The reader of Foundation.
    package static func foundation(_ text: [UInt8]) -> Bool {
        (try? JSONSerialization.jsonObject(with: Data(text), options: [.fragmentsAllowed])) != nil
    }

    /// Whether Foundation is known to judge such a text by other rules than RFC 8259, or ours.
    ///
    /// - A text that begins with a byte order mark, or has zeros at the beginning, may be UTF-16 or
    ///   UTF-32 to it.
    /// - It takes a comma before a closing bracket.
    /// - Numbers that no double holds are errors to it, and it allows 512 levels.
    package static func foundationDiffers(_ text: [UInt8]) -> Bool {
        if text.prefix(4).contains(0) || text.starts(with: [0xEF, 0xBB, 0xBF])
            || text.starts(with: [0xFE, 0xFF]) || text.starts(with: [0xFF, 0xFE])
        {
            return true
        }
        let solid = text.filter { !" \n\r\t".utf8.contains($0) }
        for (byte, next) in zip(solid, solid.dropFirst()) where byte == UInt8(ascii: ",") {
            if next == UInt8(ascii: "]") || next == UInt8(ascii: "}") { return true }
        }
        // An exponent of three digits, or 300 digits in a row, are candidates for what no double
        // holds.
        var run = 0
        var isExponent = false
        var depth = 0
        for byte in text {
            switch byte {
            case 0x30...0x39:
                run += 1
                if run >= (isExponent ? 3 : 300) { return true }
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                isExponent = true
                run = 0
            case UInt8(ascii: "+"), UInt8(ascii: "-"): run = 0
            default:
                isExponent = false
                run = 0
                depth += byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") ? 1 : 0
            }
        }
        return depth > 64
    }
}
