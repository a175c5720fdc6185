import SluiceCore

/// Whether a decoded field section is a well-formed message (RFC 9113 §8.1.1 to §8.3).
enum HTTP2HeadCheck {
    /// What a head says about the body that follows.
    struct Result {
        /// The `content-length`, or -1.
        var contentLength = -1
        /// Whether white space was taken off a value, so that the head isn't as it came.
        var isTrimmed = false
    }

    /// Checks a request head; nil means malformed.
    static func request(_ block: FieldBlock) -> Result? {
        var result = Result()
        var seen: UInt8 = 0
        var isRegular = false
        var isConnect = false
        for index in 0..<block.count {
            let field = block[index]
            guard field.name.isPseudo else {
                isRegular = true
                guard regular(index, block, &result) else { return nil }
                continue
            }
            guard !isRegular, field.isSound else { return nil }
            let value = unsafe block.value(of: field)
            let bit: UInt8
            switch field.name {
            case .method:
                bit = 1
                guard unsafe FieldValidation.isToken(value) else { return nil }
                isConnect = unsafe ASCII.equal(value, "CONNECT")
            case .scheme:
                bit = 2
                guard unsafe !value.isEmpty else { return nil }
            case .authority: bit = 4
            case .path:
                bit = 8
                guard unsafe !value.isEmpty else { return nil }
            default: return nil
            }
            guard seen & bit == 0 else { return nil }
            seen |= bit
        }
        // CONNECT has neither scheme nor path (RFC 9113 §8.5); all others need three.
        guard isConnect ? seen == 5 : seen & 11 == 11 else { return nil }
        return result
    }

    /// Checks a response head; nil means malformed.
    static func response(_ block: FieldBlock) -> Result? {
        var result = Result()
        // HTTP/2 has no 101 (RFC 9113 §8.6).
        guard block.count > 0, block[0].name == .status, block[0].isSound, block.status >= 100,
            block.status != 101
        else { return nil }
        return fields(of: block, from: 1, &result) ? result : nil
    }

    /// Checks a trailer section: no pseudo-fields; nil means malformed.
    static func trailers(_ block: FieldBlock) -> Result? {
        var result = Result()
        return fields(of: block, from: 0, &result) ? result : nil
    }

    private static func fields(
        of block: FieldBlock,
        from start: Int,
        _ result: inout Result
    ) -> Bool {
        for index in start..<max(start, block.count) {
            guard !block[index].name.isPseudo, regular(index, block, &result) else {
                return false
            }
        }
        return true
    }

    @inline(__always)
    private static func regular(
        _ index: Int,
        _ block: FieldBlock,
        _ result: inout Result
    ) -> Bool {
        if !block[index].isSound {
            // White space at a value's ends is malformed by RFC 9113 §8.2.1, and yet servers send
            // it in `grpc-message` and callers in metadata. Like HTTP/1.1's (RFC 9112 §5.1) it is no
            // part of the value: it is taken off before anything reads or passes on the field. What
            // says where a message ends, and whom it is for, is taken as it should be or not at all.
            switch block[index].name {
            case .contentLength, .transferCodings, .host: return false
            default: break
            }
            guard block.trim(at: index) else { return false }
            result.isTrimmed = true
        }
        let field = block[index]
        switch field.name {
        case .transferCodings:
            return unsafe ASCII.equal(block.value(of: field), ignoringCaseOf: "trailers")
        case .contentLength:
            guard let length = unsafe ASCII.decimal(block.value(of: field)),
                result.contentLength == -1 || result.contentLength == length
            else { return false }
            result.contentLength = length
            return true
        default:
            return !field.name.isHopByHop
        }
    }
}
