import SluiceCore

/// What the lines of one head have said about the message, besides its fields.
///
/// Lines are read as they arrive, straight into the block; only what depends on several lines is
/// remembered here and judged when the empty line comes. Source: RFC 9112 §2 to §6.
struct HTTP1Head: BitwiseCopyable {
    /// Bytes of the head so far, line ends included.
    var byteCount = 0
    var hasStartLine = false
    var hasFields = false
    /// The `x` in HTTP/1.x.
    var minorVersion = 1
    /// Whether the request's method is HEAD, whose response has no body.
    var isHeadMethod = false
    /// The response's status.
    var status = 0
    /// The `content-length`, or -1.
    var contentLength = -1
    var isChunked = false
    var expectsContinue = false

    private var hasHost = false
    private var hasAbsoluteTarget = false
    private var hasClose = false
    private var hasKeepAlive = false
    private var connectionOptions = 0

    /// More options in `connection` than this are an attack: each costs a walk over the fields.
    private static let connectionOptionMaximum = 32

    /// Whether the peer is ready for another exchange after this one (RFC 9112 §9.3).
    var isPersistent: Bool { !hasClose && (minorVersion == 1 || hasKeepAlive) }

    // MARK: - Start lines

    /// Reads `method SP request-target SP HTTP-version` (RFC 9112 §3).
    mutating func readRequestLine(
        _ line: UnsafeRawBufferPointer,
        into block: FieldBlock,
        isSecure: Bool
    ) throws(HTTP1Failure) {
        var index = 0
        while index < line.count, unsafe FieldValidation.isToken(line[index]) { index += 1 }
        guard index > 0, index < line.count, unsafe line[index] == ASCII.space,
            index <= FieldValidation.nameLengthMaximum
        else { throw HTTP1Failure(.badRequest, "the method is not a token") }
        let method = unsafe UnsafeRawBufferPointer(rebasing: line[..<index])
        let targetStart = index + 1
        index = targetStart
        // Visible ASCII only; a fragment never travels (RFC 9110 §7.1).
        while index < line.count, unsafe line[index] > ASCII.space, unsafe line[index] < 0x7F,
            unsafe line[index] != UInt8(ascii: "#")
        { index += 1 }
        guard index > targetStart, index < line.count, unsafe line[index] == ASCII.space else {
            throw HTTP1Failure(.badRequest, "the request line is malformed")
        }
        let target = unsafe UnsafeRawBufferPointer(rebasing: line[targetStart..<index])
        unsafe try readVersion(UnsafeRawBufferPointer(rebasing: line[(index + 1)...]))
        guard unsafe !HTTP1Head.equal(method, "CONNECT") else {
            throw HTTP1Failure(.notImplemented, "CONNECT asks for a tunnel")
        }
        isHeadMethod = unsafe HTTP1Head.equal(method, "HEAD")
        unsafe block.append(.method, method)
        if isSecure { block.append(.scheme, "https") } else { block.append(.scheme, "http") }
        if unsafe target[0] == ASCII.slash {
            block.append(.authority, "")
            unsafe block.append(.path, target)
        } else if unsafe HTTP1Head.equal(target, "*") {
            guard unsafe HTTP1Head.equal(method, "OPTIONS") else {
                throw HTTP1Failure(.badRequest, "the target * is for OPTIONS")
            }
            block.append(.authority, "")
            unsafe block.append(.path, target)
        } else {
            unsafe try readAbsolute(target, method, into: block)
        }
        hasStartLine = true
    }

    /// Reads a target with scheme and authority, which overrule `host` (RFC 9112 §3.2.2).
    private mutating func readAbsolute(
        _ target: UnsafeRawBufferPointer,
        _ method: UnsafeRawBufferPointer,
        into block: FieldBlock
    ) throws(HTTP1Failure) {
        let prefix =
            if unsafe HTTP1Head.hasPrefix(target, "http://") {
                7
            } else if unsafe HTTP1Head.hasPrefix(target, "https://") {
                8
            } else {
                0
            }
        var end = prefix
        while end < target.count, unsafe target[end] != ASCII.slash,
            unsafe target[end] != UInt8(ascii: "?")
        {
            end += 1
        }
        let authority = unsafe UnsafeRawBufferPointer(rebasing: target[prefix..<end])
        guard prefix > 0, unsafe FieldValidation.isHost(authority) else {
            throw HTTP1Failure(.badRequest, "the request target is malformed")
        }
        hasAbsoluteTarget = true
        unsafe block.append(.authority, authority)
        let rest = unsafe UnsafeRawBufferPointer(rebasing: target[end...])
        if unsafe rest.isEmpty {
            let isOptions = unsafe HTTP1Head.equal(method, "OPTIONS")
            if isOptions { block.append(.path, "*") } else { block.append(.path, "/") }
        } else if unsafe rest[0] == ASCII.slash {
            unsafe block.append(.path, rest)
        } else {
            unsafe withUnsafeTemporaryAllocation(byteCount: rest.count + 1, alignment: 1) { path in
                unsafe path[0] = ASCII.slash
                unsafe UnsafeMutableRawBufferPointer(rebasing: path[1...]).copyMemory(from: rest)
                unsafe block.append(.path, UnsafeRawBufferPointer(path))
            }
        }
    }

    /// Reads `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4).
    ///
    /// The space before an absent reason may be absent as well, as many servers have it.
    mutating func readStatusLine(
        _ line: UnsafeRawBufferPointer,
        into block: FieldBlock
    ) throws(HTTP1Failure) {
        guard line.count >= 12, unsafe line[8] == ASCII.space,
            unsafe line.count == 12 || line[12] == ASCII.space, unsafe FieldValidation.isText(line)
        else { throw HTTP1Failure(.badResponse, "the status line is malformed") }
        unsafe try readVersion(UnsafeRawBufferPointer(rebasing: line[..<8]))
        let digits = unsafe UnsafeRawBufferPointer(rebasing: line[9..<12])
        guard let code = unsafe ASCII.decimal(digits), code >= 100 else {
            throw HTTP1Failure(.badResponse, "the status is not a number of three digits")
        }
        status = code
        unsafe block.append(.status, digits)
        hasStartLine = true
    }

    private mutating func readVersion(_ text: UnsafeRawBufferPointer) throws(HTTP1Failure) {
        guard text.count == 8, unsafe HTTP1Head.equal(.init(rebasing: text[..<5]), "HTTP/"),
            unsafe ASCII.isDigit(text[5]), unsafe text[6] == ASCII.dot,
            unsafe ASCII.isDigit(text[7])
        else { throw HTTP1Failure(.badRequest, "the HTTP version is malformed") }
        guard unsafe text[5] == UInt8(ascii: "1"), unsafe text[7] <= UInt8(ascii: "1") else {
            throw HTTP1Failure(.versionNotSupported, "the version is neither HTTP/1.0 nor 1.1")
        }
        minorVersion = unsafe Int(text[7] - ASCII.zero)
    }

    // MARK: - Fields

    /// Reads one field line of a head (RFC 9112 §5).
    mutating func readField(
        _ line: UnsafeRawBufferPointer,
        into block: FieldBlock,
        role: HTTP1Session.Role
    ) throws(HTTP1Failure) {
        let (name, value) = unsafe try HTTP1Head.split(line)
        hasFields = true
        if role == .server, name.count == 4, unsafe ASCII.equal(name, ignoringCaseOf: "host") {
            unsafe try readHost(value, into: block)
            return
        }
        switch unsafe block.append(folding: name, value: value) {
        case .other: unsafe try HTTP1Head.check(name)
        case .contentLength:
            // Equal lengths said twice are refused as well: others may read them as a list.
            guard contentLength == -1, let length = unsafe ASCII.decimal(value) else {
                throw HTTP1Failure(.badRequest, "content-length must be one number, said once")
            }
            contentLength = length
        case .transferEncoding:
            unsafe try readTransferEncoding(value)
            block.removeLast()
        case .connection:
            let named = connectionOptions
            unsafe try readConnection(value)
            if connectionOptions == named { block.removeLast() }
        case .keepAlive, .proxyConnection, .upgrade, .http2Settings:
            block.removeLast()
        case .transferCodings:
            // Of all it may say, only this concerns more than one hop.
            let acceptsTrailers = unsafe HTTP1Head.contains(value, "trailers")
            block.removeLast()
            if acceptsTrailers { block.append(.transferCodings, "trailers") }
        case .expect where role == .server:
            block.removeLast()
            // An HTTP/1.0 client's expectation is to be ignored (RFC 9110 §10.1.1).
            guard minorVersion == 1 else { return }
            guard unsafe ASCII.equal(value, ignoringCaseOf: "100-continue") else {
                throw HTTP1Failure(.expectationFailed, "the only known expectation is 100-continue")
            }
            expectsContinue = true
        default: break
        }
    }

    /// Parts a field line into name and value; the value is checked, the name only by whoever
    /// doesn't know it (``check(_:)``).
    static func split(
        _ line: UnsafeRawBufferPointer
    ) throws(HTTP1Failure) -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        guard let colon = unsafe HTTP1Session.first(ASCII.colon, in: line, before: line.count),
            colon > 0, colon <= FieldValidation.nameLengthMaximum
        else {
            if line.count > 0, unsafe isWhiteSpace(line[0]) { throw HTTP1Head.indented }
            throw HTTP1Head.malformedName
        }
        var start = colon + 1
        var end = line.count
        while start < end, unsafe isWhiteSpace(line[start]) { start += 1 }
        while end > start, unsafe isWhiteSpace(line[end - 1]) { end -= 1 }
        let value = unsafe UnsafeRawBufferPointer(rebasing: line[start..<end])
        guard unsafe FieldValidation.isText(value) else {
            throw HTTP1Failure(.badRequest, "a field value has a control character")
        }
        return unsafe (UnsafeRawBufferPointer(rebasing: line[..<colon]), value)
    }

    /// Checks a name that isn't one of ours.
    static func check(_ name: UnsafeRawBufferPointer) throws(HTTP1Failure) {
        guard unsafe FieldValidation.isToken(name) else {
            throw unsafe isWhiteSpace(name[0]) ? HTTP1Head.indented : HTTP1Head.malformedName
        }
    }

    private static var indented: HTTP1Failure {
        HTTP1Failure(.badRequest, "a line of the head begins with white space")
    }

    private static var malformedName: HTTP1Failure {
        HTTP1Failure(.badRequest, "a field name is malformed")
    }

    private mutating func readHost(
        _ value: UnsafeRawBufferPointer,
        into block: FieldBlock
    ) throws(HTTP1Failure) {
        guard !hasHost, unsafe FieldValidation.isHost(value) else {
            throw HTTP1Failure(.badRequest, "host must be one valid authority, said once")
        }
        hasHost = true
        if !hasAbsoluteTarget { unsafe block.set(.authority, value) }
    }

    private mutating func readTransferEncoding(
        _ value: UnsafeRawBufferPointer
    ) throws(HTTP1Failure) {
        guard minorVersion == 1, !isChunked else {
            throw HTTP1Failure(.badRequest, "transfer-encoding in HTTP/1.0, or said twice")
        }
        guard unsafe !ASCII.equal(value, ignoringCaseOf: "chunked") else {
            isChunked = true
            return
        }
        // A body whose last coding isn't chunked has no end that both sides agree on; with other
        // codings before it the end would be known, but not what is inside (RFC 9112 §6.1, §6.3).
        var list = unsafe TokenList(value)
        var isLastChunked = false
        var chunkedCount = 0
        while let item = unsafe list.next() {
            isLastChunked = unsafe ASCII.equal(item, ignoringCaseOf: "chunked")
            if isLastChunked { chunkedCount += 1 }
        }
        guard isLastChunked, chunkedCount == 1, list.isWellFormed else {
            throw HTTP1Failure(.badRequest, "the last transfer coding is not chunked")
        }
        throw HTTP1Failure(.notImplemented, "a transfer coding other than chunked")
    }

    private mutating func readConnection(_ value: UnsafeRawBufferPointer) throws(HTTP1Failure) {
        var list = unsafe TokenList(value)
        while let option = unsafe list.next() {
            if unsafe ASCII.equal(option, ignoringCaseOf: "close") {
                hasClose = true
            } else if unsafe ASCII.equal(option, ignoringCaseOf: "keep-alive") {
                hasKeepAlive = true
            } else {
                connectionOptions += 1
            }
        }
        guard list.isWellFormed, connectionOptions <= HTTP1Head.connectionOptionMaximum else {
            throw HTTP1Failure(.badRequest, "connection is not a short list of tokens")
        }
    }

    // MARK: - The whole head

    /// Judges a request head that is complete.
    func finishRequest(_ block: FieldBlock) throws(HTTP1Failure) {
        guard hasHost || minorVersion == 0 else {
            throw HTTP1Failure(.badRequest, "an HTTP/1.1 request needs a host")
        }
        try finish(block)
        if !hasHost, !hasAbsoluteTarget { block.remove(.authority) }
    }

    /// Judges a response head that is complete.
    func finishResponse(_ block: FieldBlock) throws(HTTP1Failure) { try finish(block) }

    private func finish(_ block: FieldBlock) throws(HTTP1Failure) {
        guard !isChunked || contentLength == -1 else {
            throw HTTP1Failure(.badRequest, "content-length beside transfer-encoding")
        }
        guard connectionOptions > 0 else { return }
        for index in 0..<block.count where block[index].name == .connection {
            var list = unsafe TokenList(block.value(of: block[index]))
            while let option = unsafe list.next() { unsafe HTTP1Head.drop(option, from: block) }
            block.remove(at: index)
        }
    }

    /// Takes out the fields that `connection` names (RFC 9110 §7.6.1).
    private static func drop(_ option: UnsafeRawBufferPointer, from block: FieldBlock) {
        for index in 0..<block.count {
            let field = block[index]
            // These two are spoken for: `te: trailers` reaches the owner, `connection` is read.
            guard field.name != .transferCodings, field.name != .connection else { continue }
            let name = unsafe block.name(of: field)
            guard name.count == option.count else { continue }
            var place = 0
            while place < name.count, unsafe name[place] == ASCII.lowercased(option[place]) {
                place += 1
            }
            if place == name.count { block.remove(at: index) }
        }
    }

    // MARK: - Text

    static func isWhiteSpace(_ byte: UInt8) -> Bool {
        byte == ASCII.space || byte == ASCII.tab
    }

    private static func contains(_ value: UnsafeRawBufferPointer, _ token: StaticString) -> Bool {
        var list = unsafe TokenList(value)
        while let item = unsafe list.next() {
            if unsafe ASCII.equal(item, ignoringCaseOf: token) { return true }
        }
        return false
    }

    static func equal(_ text: UnsafeRawBufferPointer, _ literal: StaticString) -> Bool {
        unsafe ASCII.equal(text, literal)
    }

    private static func hasPrefix(
        _ text: UnsafeRawBufferPointer,
        _ literal: StaticString
    ) -> Bool {
        let count = literal.utf8CodeUnitCount
        return unsafe text.count >= count
            && ASCII.equal(.init(rebasing: text[..<count]), ignoringCaseOf: literal)
    }
}
