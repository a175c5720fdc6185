import SluiceCore

/// Puts heads on the wire.
///
/// The largest size a head can have is known before it is written: what the block holds, and for
/// each field four bytes and perhaps a known name. So room is made once, and the rest is copying. No field is written that could be taken for anything else: names are
/// tokens and values without control characters, whatever the block says.
enum HTTP1Writer {
    /// How a message says where its body ends.
    enum Framing {
        case none
        case length(Int)
        case chunked
    }

    /// What a message says about the connection after it.
    enum Persistence {
        case implied
        case close
        case keepAlive
    }

    /// What a request line is made of.
    @safe
    struct Target {
        let method: UnsafeRawBufferPointer
        let path: UnsafeRawBufferPointer
        let authority: UnsafeRawBufferPointer
        let isHead: Bool
        /// Whether the method usually has content, so that none must be said (RFC 9110 §8.6).
        let anticipatesContent: Bool
    }

    /// Start line, framing, `connection` and the last line end take less than this.
    private static let overhead = 256
    /// A known name takes up to 31 bytes, colon, space and line end four.
    private static let fieldOverhead = 40

    /// CR LF as a number in memory order.
    static var lineEnd: UInt16 { UInt16(0x0A0D).littleEndian }

    // MARK: - Reading the block

    /// The `content-length` a block promises, or nil when it doesn't say a number.
    static func contentLength(of block: FieldBlock) -> Int? {
        guard let value = unsafe block.first(.contentLength) else { return nil }
        return unsafe ASCII.decimal(value)
    }

    /// The parts of the request line and `host`; nil when they'd be read as something else.
    static func target(of block: FieldBlock) -> Target? {
        guard let method = unsafe block.first(.method), unsafe FieldValidation.isToken(method),
            unsafe !HTTP1Head.equal(method, "CONNECT"),
            let path = unsafe block.first(.path)
        else { return nil }
        let isOptions = unsafe HTTP1Head.equal(method, "OPTIONS")
        guard unsafe FieldValidation.isPath(path) || (isOptions && HTTP1Head.equal(path, "*"))
        else {
            return nil
        }
        let authority =
            unsafe block.first(.authority) ?? block.first(.host)
            ?? UnsafeRawBufferPointer(start: nil, count: 0)
        guard unsafe FieldValidation.isAuthority(authority) else { return nil }
        return unsafe Target(
            method: method,
            path: path,
            authority: authority,
            isHead: HTTP1Head.equal(method, "HEAD"),
            anticipatesContent: HTTP1Head.equal(method, "POST")
                || HTTP1Head.equal(method, "PUT") || HTTP1Head.equal(method, "PATCH")
        )
    }

    // MARK: - Writing

    private static func room(for block: FieldBlock) -> Int {
        block.byteCount + block.count * fieldOverhead + overhead
    }

    /// Writes a response head, interim or final.
    static func writeResponse(
        _ block: FieldBlock,
        _ status: Int,
        _ framing: Framing,
        _ persistence: Persistence,
        to output: inout ByteBuffer
    ) -> HTTP1Layout {
        let reason = HTTP1ReasonPhrase.of(status)
        let start = unsafe output.reserve(room(for: block) + reason.utf8CodeUnitCount)
        var pen = unsafe HTTP1Pen(start)
        var layout = HTTP1Layout()
        pen.write("HTTP/1.1 ")
        pen.write(decimal: status)
        pen.write(byte: ASCII.space)
        pen.write(reason)
        pen.endLine()
        for index in 0..<block.count {
            let field = block[index]
            let isWritten = !field.isRemoved && isEndToEnd(field.name)
            if isWritten { pen.write(field, of: block) }
            layout.note(field, at: index, isWritten: isWritten, upTo: pen.written)
        }
        pen.write(framing, &layout)
        pen.write(persistence)
        pen.endLine()
        output.commit(pen.written)
        unsafe layout.text = UnsafeRawBufferPointer(start: start, count: pen.written)
        return layout
    }

    /// Writes a request head.
    static func writeRequest(
        _ block: FieldBlock,
        _ target: Target,
        _ framing: Framing,
        _ persistence: Persistence,
        to output: inout ByteBuffer
    ) -> HTTP1Layout {
        let start = unsafe output.reserve(room(for: block))
        var pen = unsafe HTTP1Pen(start)
        var layout = HTTP1Layout()
        layout.isHead = target.isHead
        unsafe pen.write(target.method)
        pen.write(byte: ASCII.space)
        let pathStart = pen.written
        unsafe pen.write(target.path)
        layout.notePath(pathStart..<pen.written)
        pen.write(" HTTP/1.1\r\nhost: ")
        unsafe pen.write(target.authority)
        pen.endLine()
        var hasCookie = false
        for index in 0..<block.count {
            let field = block[index]
            var isWritten = false
            switch field.name {
            case _ where field.isRemoved: break
            // We never wait for 100 (Continue), so we don't ask for it.
            case .host, .expect: break
            case .cookie: hasCookie = true
            default: isWritten = isEndToEnd(field.name)
            }
            if isWritten { pen.write(field, of: block) }
            layout.note(field, at: index, isWritten: isWritten, upTo: pen.written)
        }
        if hasCookie { writeCookies(block, &pen) }
        pen.write(framing, &layout)
        pen.write(persistence)
        pen.endLine()
        output.commit(pen.written)
        unsafe layout.text = UnsafeRawBufferPointer(start: start, count: pen.written)
        return layout
    }

    /// Writes a trailer section with its last line end.
    static func writeTrailers(_ block: FieldBlock, to output: inout ByteBuffer) {
        var pen = unsafe HTTP1Pen(output.reserve(room(for: block)))
        for index in 0..<block.count {
            let field = block[index]
            if !field.isRemoved, unsafe TrailerField.isAllowed(field.name, block.name(of: field)) {
                pen.write(field, of: block)
            }
        }
        pen.endLine()
        output.commit(pen.written)
    }

    /// Joins the crumbs that HTTP/2 makes of cookies (RFC 9113 §8.2.3).
    private static func writeCookies(_ block: FieldBlock, _ pen: inout HTTP1Pen) {
        var isFirst = true
        for index in 0..<block.count {
            let field = block[index]
            guard field.name == .cookie, !field.isRemoved else { continue }
            let value = unsafe block.value(of: field)
            guard unsafe FieldValidation.isText(value) else { continue }
            if isFirst { pen.write("cookie: ") } else { pen.write("; ") }
            isFirst = false
            unsafe pen.write(value)
        }
        if !isFirst { pen.endLine() }
    }

    /// Whether a field is passed on as it is; framing and the connection are the session's.
    private static func isEndToEnd(_ name: FieldName) -> Bool {
        !name.isPseudo && !name.isHopByHop && name != .contentLength && name != .transferCodings
    }
}
