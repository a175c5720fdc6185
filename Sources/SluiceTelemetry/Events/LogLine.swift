import SluiceCore

/// One line of the operational log, for people: time, level, message, `key=value` pairs.
///
/// `2026-11-21T04:15:00.123Z info  backend ejected model=iris backend=127.0.0.1:9001`
///
/// One event is one line whatever strangers put into it: control characters are escaped, and
/// values that hold spaces, quotes, `=` or nothing at all stand in quotes. For rare events; it
/// allocates.
package struct LogLine: Sendable {
    /// The level the line was made with.
    package let level: LogLevel
    private var text: [UInt8]

    /// A line that says `message` at `time`.
    package init(_ level: LogLevel, _ message: String, at time: WallTime) {
        self.level = level
        text = Array(time.text.utf8)
        text.append(0x20)
        text.append(contentsOf: level.name.description.utf8)
        text.append(0x20)
        LogLine.escape(message, quotes: false, into: &text)
    }

    /// Adds a pair; `key` is a word of ours and stands as it is.
    package mutating func add(_ key: StaticString, _ value: String) {
        text.append(0x20)
        text.append(contentsOf: key.description.utf8)
        text.append(0x3D)
        let isPlain = value.utf8.allSatisfy { byte in
            byte > 0x20 && byte != 0x22 && byte != 0x3D && byte != 0x5C && byte != 0x7F
        }
        if isPlain, !value.isEmpty {
            text.append(contentsOf: value.utf8)
        } else {
            text.append(0x22)
            LogLine.escape(value, quotes: true, into: &text)
            text.append(0x22)
        }
    }

    /// Adds a number.
    package mutating func add(_ key: StaticString, _ value: Int) {
        add(key, String(value))
    }

    /// The line's bytes with a line feed at the end, ready to be written in one piece.
    package var bytes: [UInt8] { text + [0x0A] }

    private static func escape(_ value: String, quotes: Bool, into text: inout [UInt8]) {
        for byte in value.utf8 {
            switch byte {
            case 0x0A: text.append(contentsOf: "\\n".utf8)
            case 0x0D: text.append(contentsOf: "\\r".utf8)
            case 0x09: text.append(contentsOf: "\\t".utf8)
            case 0x22 where quotes, 0x5C where quotes: text.append(contentsOf: [0x5C, byte])
            case 0..<0x20, 0x7F:
                let digits = Hexadecimal.digits(of: UInt32(byte)) >> 48
                text.append(contentsOf: "\\x".utf8)
                text.append(UInt8(truncatingIfNeeded: digits))
                text.append(UInt8(truncatingIfNeeded: digits >> 8))
            default: text.append(byte)
            }
        }
    }
}
