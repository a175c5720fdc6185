import SluiceCore

/// Whether a decoded field section is a well-formed message (RFC 9113 §8.1.1 to §8.3).
enum HTTP2HeadCheck {
    /// What a head says about the body that follows.
    struct Result {
        /// The `content-length`, or -1.
        var contentLength = -1
    }

    /// Checks a request head; nil means malformed.
    static func request(_ block: FieldBlock) -> Result? {
        var result = Result()
        var seen: UInt8 = 0
        var isRegular = false
        var isConnect = false
        for index in 0..<block.count {
            let field = block[index]
            let value = unsafe block.value(of: field)
            if unsafe isPseudo(block.name(of: field)) {
                guard !isRegular else { return nil }
                let bit: UInt8
                switch field.name {
                case .method:
                    bit = 1
                    guard unsafe FieldValidation.isToken(value) else { return nil }
                    isConnect = unsafe equal(value, "CONNECT")
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
                guard unsafe FieldValidation.isValue(value) else { return nil }
            } else {
                isRegular = true
                guard unsafe regular(field, block, value, &result) else { return nil }
            }
        }
        // CONNECT has neither scheme nor path (RFC 9113 §8.5); all others need three.
        guard isConnect ? seen == 5 : seen & 11 == 11 else { return nil }
        return result
    }

    /// Checks a response head; nil means malformed.
    static func response(_ block: FieldBlock) -> Result? {
        var result = Result()
        guard block.count > 0, block[0].name == .status else { return nil }
        let status = unsafe block.value(of: block[0])
        // HTTP/2 has no 101 (RFC 9113 §8.6).
        guard status.count == 3, let code = unsafe ASCII.decimal(status), code >= 100, code != 101
        else { return nil }
        for index in 1..<max(1, block.count) {
            let field = block[index]
            guard unsafe !isPseudo(block.name(of: field)),
                unsafe regular(field, block, block.value(of: field), &result)
            else { return nil }
        }
        return result
    }

    /// Checks a trailer section: no pseudo-fields.
    static func trailers(_ block: FieldBlock) -> Bool {
        var result = Result()
        for index in 0..<block.count {
            let field = block[index]
            guard unsafe !isPseudo(block.name(of: field)),
                unsafe regular(field, block, block.value(of: field), &result)
            else { return false }
        }
        return true
    }

    private static func isPseudo(_ name: UnsafeRawBufferPointer) -> Bool {
        unsafe !name.isEmpty && name[0] == ASCII.colon
    }

    private static func equal(_ value: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        unsafe value.elementsEqual(
            UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        )
    }

    private static func regular(
        _ field: Field,
        _ block: FieldBlock,
        _ value: UnsafeRawBufferPointer,
        _ result: inout Result
    ) -> Bool {
        guard unsafe FieldValidation.isValue(value) else { return false }
        switch field.name {
        case .other:
            return unsafe FieldValidation.isLowercaseToken(block.name(of: field))
        case .transferCodings:
            return unsafe ASCII.equal(value, ignoringCaseOf: "trailers")
        case .contentLength:
            guard let length = unsafe ASCII.decimal(value),
                result.contentLength == -1 || result.contentLength == length
            else { return false }
            result.contentLength = length
            return true
        default:
            return !field.name.isHopByHop
        }
    }
}
