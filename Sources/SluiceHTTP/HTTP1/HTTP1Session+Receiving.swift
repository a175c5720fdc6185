import SluiceCore

// From bytes to lines, heads and bodies.
extension HTTP1Session {
    /// The longest chunk-size line, extensions included.
    private static let chunkLineMaximum = 1024
    /// Bytes of chunk extensions that a message may have beyond its chunks' bytes.
    private static let extensionAllowance = 16 << 10

    /// Reads the input up to the next event; nil when it is used up or must wait.
    mutating func parse() throws(HTTP1Failure) -> HTTP1Event? {
        while true {
            switch reading {
            case .head:
                guard unsafe !input.isEmpty else { return nil }
                if role == .server {
                    guard canBegin else { return nil }
                } else if case .idle = writing {
                    throw HTTP1Failure(.badResponse, "bytes that no request asked for")
                }
                guard let event = try readHead() else { return nil }
                return event
            case .length(let remaining):
                guard unsafe !input.isEmpty else { return nil }
                let bytes = unsafe takeInput(remaining)
                let rest = remaining - bytes.count
                reading = .length(remaining: rest)
                expectsContinue = false
                if rest == 0 { finishReading() }
                return unsafe .data(bytes, endStream: rest == 0)
            case .untilClose:
                if unsafe !input.isEmpty {
                    return unsafe .data(takeInput(input.count), endStream: false)
                }
                guard hasPeerEnded else { return nil }
                finishReading()
                return unsafe .data(input, endStream: true)
            case .chunkSize:
                guard try readChunkSize() else { return nil }
            case .chunkData(let remaining):
                guard unsafe !input.isEmpty else { return nil }
                return takeChunk(remaining)
            case .chunkEnd(let seen):
                guard unsafe !input.isEmpty else { return nil }
                guard unsafe input[0] == (seen == 0 ? ASCII.carriageReturn : ASCII.lineFeed) else {
                    throw HTTP1Failure(.badRequest, "a chunk is not followed by a line end")
                }
                advance(1)
                reading = seen == 0 ? .chunkEnd(seen: 1) : .chunkSize
            case .trailers:
                guard let event = try readTrailers() else { return nil }
                return event
            case .done: return nil
            case .lost:
                unsafe advance(input.count)
                return nil
            }
        }
    }

    @inline(__always)
    mutating func advance(_ count: Int) {
        unsafe precondition(count <= input.count, "more was read than came")
        unsafe input = UnsafeRawBufferPointer(
            start: input.baseAddress.map { unsafe $0 + count },
            count: input.count &- count
        )
    }

    /// Takes up to `count` bytes from the input, as they lie there.
    private mutating func takeInput(_ count: Int) -> UnsafeRawBufferPointer {
        let bytes = unsafe UnsafeRawBufferPointer(
            start: input.baseAddress,
            count: min(count, input.count)
        )
        advance(bytes.count)
        return unsafe bytes
    }

    // MARK: - Lines

    /// The next line without its end, or nil until all of it is there; borrowed until ``dropLine()``.
    ///
    /// Only CR LF ends a line: that others accept a bare LF or CR is how requests are smuggled
    /// (RFC 9112 §2.2 and §11.2). `limit` counts the line end.
    private mutating func takeLine(
        limit: Int,
        _ tooLong: HTTP1Failure.Kind,
        _ sentence: StaticString
    ) throws(HTTP1Failure) -> UnsafeRawBufferPointer? {
        let room = limit - partial.count
        guard let feed = unsafe HTTP1Session.first(ASCII.lineFeed, in: input, before: room) else {
            guard unsafe input.count < room else { throw HTTP1Failure(tooLong, sentence) }
            unsafe partial.append(input)
            unsafe advance(input.count)
            return nil
        }
        var line = unsafe UnsafeRawBufferPointer(rebasing: input[...feed])
        if !partial.isEmpty {
            unsafe partial.append(line)
            unsafe line = unsafe partial.bytes
            hasWholeLine = true
        }
        advance(feed + 1)
        guard line.count >= 2, unsafe line[line.count - 2] == ASCII.carriageReturn else {
            throw HTTP1Failure(.badRequest, "a line ends with a bare LF")
        }
        return unsafe UnsafeRawBufferPointer(rebasing: line[..<(line.count - 2)])
    }

    private mutating func dropLine() {
        guard hasWholeLine else { return }
        partial.removeAll()
        hasWholeLine = false
    }

    /// The place of the first `wanted` among the first `limit` bytes.
    ///
    /// Eight bytes at a time: exclusive or turns the wanted byte into zero, subtracting one borrows
    /// into the top bit of the first zero byte, whose place the trailing zeros then tell.
    @inline(__always)
    static func first(
        _ wanted: UInt8,
        in bytes: UnsafeRawBufferPointer,
        before limit: Int
    ) -> Int? {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        let end = min(bytes.count, limit)
        var index = 0
        while index + 8 <= end {
            let word = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                .littleEndian
            let marked = word ^ (ones &* UInt64(wanted))
            let found = (marked &- ones) & ~marked & tops
            if found != 0 { return index &+ found.trailingZeroBitCount / 8 }
            index &+= 8
        }
        while index < end {
            if unsafe bytes[index] == wanted { return index }
            index &+= 1
        }
        return nil
    }

    // MARK: - Heads

    private mutating func readHead() throws(HTTP1Failure) -> HTTP1Event? {
        // Only what begins here and ends in the same piece may have come before.
        let wire = unsafe isReceivingHead || hasSkippedLine ? HTTP1Session.nothing : input
        if unsafe !wire.isEmpty {
            if let event = unsafe try recallHead(wire) { return event }
            if let event = unsafe recallVaried(wire) { return event }
        }
        while let line = unsafe try takeHeadLine() {
            guard head.hasStartLine, let block else {
                unsafe try readFirstLine(line)
                dropLine()
                continue
            }
            guard unsafe !line.isEmpty else {
                dropLine()
                if role == .server {
                    try head.finishRequest(block)
                    block.hasSoundTarget = RequestTarget.isSound(block, isHTTP2: false)
                } else {
                    try head.finishResponse(block)
                }
                if unsafe !wire.isEmpty { unsafe keepHead(block, wire) }
                let event =
                    role == .server ? beginRequest(block) : try beginResponse(block)
                // Until here a failure would have given it back.
                self.block = nil
                return event
            }
            unsafe try head.readField(line, into: block, role: role)
            head.byteCount += line.count + 2
            dropLine()
        }
        return nil
    }

    private static var nothing: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private mutating func takeHeadLine() throws(HTTP1Failure) -> UnsafeRawBufferPointer? {
        guard !head.hasStartLine else {
            return unsafe try takeLine(
                limit: maxHeadBytes - head.byteCount,
                .headTooLarge,
                "the head is too large"
            )
        }
        return unsafe try takeLine(
            limit: maxHeadBytes,
            role == .server ? .uriTooLong : .headTooLarge,
            "the first line is too long"
        )
    }

    private mutating func readFirstLine(_ line: UnsafeRawBufferPointer) throws(HTTP1Failure) {
        if role == .server, unsafe line.isEmpty, !hasSkippedLine {
            // Some clients end a body with a line end too many (RFC 9112 §2.2).
            hasSkippedLine = true
            return
        }
        let block = arena.blocks.take()
        self.block = block
        if role == .server {
            unsafe try head.readRequestLine(line, into: block, isSecure: isSecure)
        } else {
            unsafe try head.readStatusLine(line, into: block)
        }
        head.byteCount = line.count + 2
    }

    mutating func beginRequest(_ block: FieldBlock) -> HTTP1Event {
        peerMinorVersion = head.minorVersion
        isHeadExchange = head.isHeadMethod
        isPersistent = head.isPersistent
        isRequestTheLast = !isPersistent || head.minorVersion == 0
        writing = .head
        beginBody(head.isChunked ? -1 : max(0, head.contentLength))
        let endStream = isBodyless
        expectsContinue = head.expectsContinue && !endStream
        if endStream { finishReading() }
        return .head(block, endStream: endStream)
    }

    mutating func beginResponse(_ block: FieldBlock) throws(HTTP1Failure) -> HTTP1Event {
        let status = head.status
        if status < 200 {
            guard status != 101 else {
                throw HTTP1Failure(.badResponse, "101 without a request to upgrade")
            }
            interimCount += 1
            guard interimCount <= HTTP1Session.interimMaximum else {
                throw HTTP1Failure(.badResponse, "too many interim responses")
            }
            head = HTTP1Head()
            return .interim(block)
        }
        peerMinorVersion = head.minorVersion
        isPersistent = isPersistent && head.isPersistent
        // The order is RFC 9112 §6.3's.
        if isHeadExchange || status == 204 || status == 304 {
            beginBody(0)
        } else if head.isChunked {
            beginBody(-1)
        } else if head.contentLength >= 0 {
            beginBody(head.contentLength)
        } else {
            reading = .untilClose
            isPersistent = false
        }
        let endStream = isBodyless
        if endStream { finishReading() }
        return .head(block, endStream: endStream)
    }

    private mutating func beginBody(_ length: Int) {
        extensionBytes = 0
        chunkBytes = 0
        reading = length < 0 ? .chunkSize : .length(remaining: length)
    }

    private var isBodyless: Bool {
        if case .length(remaining: 0) = reading { return true }
        return false
    }

    // MARK: - Chunks

    /// Reads `chunk-size [ chunk-ext ] CRLF` (RFC 9112 §7.1).
    private mutating func readChunkSize() throws(HTTP1Failure) -> Bool {
        guard
            let line = unsafe try takeLine(
                limit: HTTP1Session.chunkLineMaximum,
                .badRequest,
                "a chunk's size line is too long"
            )
        else { return false }
        expectsContinue = false
        var size = 0
        var index = 0
        while index < line.count, let digit = unsafe ASCII.hexadecimalValue(line[index]) {
            guard size < 1 << 58, index < 32 else {
                throw HTTP1Failure(.badRequest, "a chunk's size overflows")
            }
            size = size << 4 | Int(digit)
            index += 1
        }
        guard index > 0 else { throw HTTP1Failure(.badRequest, "a chunk's size is malformed") }
        unsafe try skipExtensions(UnsafeRawBufferPointer(rebasing: line[index...]))
        dropLine()
        chunkBytes += min(size, 1 << 40)
        if size == 0 {
            head.byteCount = 0
            reading = .trailers
        } else {
            reading = .chunkData(remaining: size)
        }
        return true
    }

    /// Passes over chunk extensions, which nobody uses and some send by the megabyte
    /// (RFC 9112 §7.1.1).
    private mutating func skipExtensions(_ text: UnsafeRawBufferPointer) throws(HTTP1Failure) {
        guard unsafe !text.isEmpty else { return }
        var start = 0
        while start < text.count, unsafe text[start] == ASCII.space || text[start] == ASCII.tab {
            start += 1
        }
        guard start < text.count, unsafe text[start] == ASCII.semicolon,
            unsafe FieldValidation.isText(text)
        else {
            throw HTTP1Failure(.badRequest, "a chunk's size is followed by junk")
        }
        extensionBytes += text.count
        guard extensionBytes <= HTTP1Session.extensionAllowance + chunkBytes else {
            throw HTTP1Failure(.badRequest, "more chunk extensions than chunks")
        }
    }

    private mutating func takeChunk(_ remaining: Int) -> HTTP1Event {
        let bytes = unsafe takeInput(remaining)
        let rest = remaining - bytes.count
        guard rest == 0 else {
            reading = .chunkData(remaining: rest)
            return unsafe .data(bytes, endStream: false)
        }
        // A whole message mostly ends right here, and then this event can say so.
        let end: StaticString = "\r\n0\r\n\r\n"
        if unsafe input.count >= 7, unsafe HTTP1Head.equal(.init(rebasing: input[..<7]), end) {
            advance(7)
            finishReading()
            return unsafe .data(bytes, endStream: true)
        }
        reading = .chunkEnd(seen: 0)
        return unsafe .data(bytes, endStream: false)
    }

    // MARK: - Trailers

    /// Reads the trailer section (RFC 9112 §7.1.2).
    private mutating func readTrailers() throws(HTTP1Failure) -> HTTP1Event? {
        while let line = unsafe try takeLine(
            limit: maxHeadBytes - head.byteCount,
            .headTooLarge,
            "the trailer section is too large"
        ) {
            guard unsafe !line.isEmpty else {
                dropLine()
                finishReading()
                return endOfTrailers()
            }
            let (name, value) = unsafe try HTTP1Head.split(line)
            let block = self.block ?? arena.blocks.take()
            self.block = block
            let known = unsafe block.append(folding: name, value: value)
            if known == .other { unsafe try HTTP1Head.check(name) }
            if unsafe !TrailerField.isAllowed(known, block.name(of: block[block.count - 1])) {
                block.removeLast()
            }
            head.byteCount += line.count + 2
            dropLine()
        }
        return nil
    }

    /// The event that ends a chunked message; there may be nothing left of its trailers.
    private mutating func endOfTrailers() -> HTTP1Event {
        if let block {
            self.block = nil
            if block.count > 0 { return .trailers(block) }
            arena.blocks.give(block)
        }
        return unsafe .data(UnsafeRawBufferPointer(start: nil, count: 0), endStream: true)
    }
}
