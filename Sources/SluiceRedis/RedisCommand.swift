import SluiceCore

/// How commands are written: RESP arrays of bulk strings (redis.io, "Redis serialization protocol",
/// "Sending commands").
extension ByteBuffer {
    /// Starts a command of `count` parts, its name included.
    mutating func beginCommand(_ count: Int) {
        append(byte: 0x2A)
        append(decimal: count)
        append("\r\n")
    }

    /// Writes one part of a command; whatever bytes it has, they stay one part.
    mutating func appendPart(_ bytes: UnsafeRawBufferPointer) {
        append(byte: 0x24)
        append(decimal: bytes.count)
        append("\r\n")
        unsafe append(bytes)
        append("\r\n")
    }

    /// Writes a whole GET, the command of every look-up, in one go.
    mutating func appendGet(_ key: UnsafeRawBufferPointer) {
        let head: StaticString = "*2\r\n$3\r\nGET\r\n$"
        let end = UInt16(0x0A0D).littleEndian
        // Room for all that is written below; a length takes twenty bytes at most.
        let place = unsafe UnsafeMutableRawPointer(
            reserve(head.utf8CodeUnitCount + 20 + 2 + key.count + 2)
        )
        unsafe ShortBytes.copy(head.utf8Start, to: place, count: head.utf8CodeUnitCount)
        var count = head.utf8CodeUnitCount
        unsafe count += ASCII.write(decimal: key.count, to: place + count)
        unsafe place.storeBytes(of: end, toByteOffset: count, as: UInt16.self)
        count += 2
        if let base = key.baseAddress {
            unsafe ShortBytes.copy(base, to: place + count, count: key.count)
        }
        count += key.count
        unsafe place.storeBytes(of: end, toByteOffset: count, as: UInt16.self)
        commit(count + 2)
    }

    /// Writes a literal as one part.
    mutating func appendPart(_ text: StaticString) {
        unsafe appendPart(
            UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        )
    }

    /// Writes a text as one part; for cold paths.
    mutating func appendPart(text: String) {
        var text = text
        text.withUTF8 { unsafe appendPart(UnsafeRawBufferPointer($0)) }
    }
}

/// What a reply to a command may look like; anything else means that replies and commands are out
/// of step, and nothing that follows can be believed.
enum RedisExpectation: BitwiseCopyable {
    /// AUTH, SELECT, PING at the start: a status, and an error ends the session.
    case greeting
    /// SET, PING.
    case status
    /// GET.
    case value
    /// MGET of that many keys.
    case values(Int)
    /// DEL, UNLINK.
    case count
    /// SCAN: a cursor and an array of keys.
    case page
    /// ROLE at the start: an array that begins with the role.
    case role
    /// SENTINEL GET-MASTER-ADDR-BY-NAME: host and port, or nothing.
    case address

    /// Whether it must be answered before the session is ready.
    var isGreeting: Bool {
        switch self {
        case .greeting, .role: true
        default: false
        }
    }

    /// Why an answer to the greeting ends the session; nil where it goes on.
    func refusal(in reply: RedisReply) -> RedisFailure? {
        switch (self, reply) {
        // An ACL without ROLE is no reason to do without Redis: a replica refuses writes.
        case (.role, .error): nil
        case (_, .error(let text)): .refused(text)
        case (.role, .array(let elements)):
            switch elements.first {
            case .bytes(let role) where role.elementsEqual("master".utf8): nil
            case .bytes(let role): .notMaster(String(decoding: role.prefix(20), as: UTF8.self))
            default: .unexpectedReply
            }
        default: nil
        }
    }

    func accepts(_ reply: RedisReply) -> Bool {
        switch (self, reply) {
        case (_, .error): return true
        case (.greeting, .status), (.status, .status), (.count, .integer): return true
        case (.value, .bytes), (.value, .null): return true
        case (.values(let count), .array(let elements)):
            return elements.count == count && elements.allSatisfy(RedisExpectation.value.accepts)
        case (.role, .array): return true
        case (.address, .null): return true
        case (.address, .array(let elements)):
            return elements.count == 2
                && elements.allSatisfy { if case .bytes = $0 { true } else { false } }
        case (.page, .array(let elements)):
            guard elements.count == 2, case .bytes = elements[0],
                case .array(let keys) = elements[1]
            else { return false }
            return keys.allSatisfy { if case .bytes = $0 { true } else { false } }
        default: return false
        }
    }
}
