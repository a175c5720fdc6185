// One HTTP/1.1 connection without a socket (RFC 9112), for either side.
//
//      reading:  head ──► body (length | chunks | until close) ──► (trailers) ──► head ...
//      writing:  head ──► body (length | chunks | until close) ──► (trailers) ──► head ...
//
// The two directions are independent machines, joined only where HTTP says so: a server reads the
// next request when it has sent the answer to the last one, a client knows by its request how
// the response is framed. A head is collected until it is whole; a body is handed on as it comes.
package import SluiceCore

/// A connection's HTTP/1.1 state, for either side.
@safe
package struct HTTP1Session: ~Copyable {
    /// Which side of the connection we are.
    package enum Role: Sendable { case server, client }

    enum Reading: Equatable {
        case head
        case length(Int)
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case trailers
        case untilClose
        /// The message is complete; the next one waits for our answer.
        case done
        case broken
    }

    enum Writing: Equatable {
        case idle
        case length(Int)
        case chunked
        case untilClose
        case none
    }

    let role: Role
    let arena: HTTPArena
    let headMaximum: Int
    let isSecure: Bool
    /// Bytes to be written; the owner writes from the front and consumes.
    package var output: ByteBuffer

    private var input: UnsafeRawBufferPointer
    // Bytes of an incomplete head or chunk line, or a pipelined request that has to wait.
    private var stash: ByteBuffer
    private var stashSearched = 0
    private var isReadingStash = false
    private var reading = Reading.head
    private var writing = Writing.idle
    private var framing = HTTP1Framing()
    private var chunkSize = 0
    private var chunkDigits = 0
    private var chunkLine = 0
    private var inChunkExtension = false
    private var chunkCarriageReturn = false
    private var interimCount = 0
    private var isExchangeOpen = false
    private var sentHeadRequest = false
    private var closesAfterExchange = false
    private var emptyLines = 0
    private var owed = 0
    private var hasEnded = false
    /// Whether the connection must be closed once ``output`` has drained.
    package private(set) var shouldClose = false
    /// Whether the request waits for `100 Continue`.
    package private(set) var expectsContinue = false

    /// Queued bytes above which a sender is told to wait.
    static let outputHighWater = 256 << 10
    private static let chunkLineMaximum = 4096

    /// A session that waits for its first head.
    ///
    /// `maxHeadBytes` bounds a head as it stands on the wire; `isSecure` sets `:scheme`.
    package init(
        role: Role, arena: HTTPArena, maxHeadBytes: Int = 64 << 10, isSecure: Bool = false
    ) {
        self.role = role
        self.arena = arena
        headMaximum = maxHeadBytes
        self.isSecure = isSecure
        output = ByteBuffer(pool: arena.buffers)
        stash = ByteBuffer(pool: arena.buffers)
        unsafe input = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    // MARK: - State

    /// Whether more bytes are welcome; false while a pipelined request waits for its turn.
    package var wantsInput: Bool { !(role == .server && reading == .done) }

    /// Whether no exchange is under way and nothing of a next one has arrived.
    package var isIdle: Bool {
        !isExchangeOpen && stash.isEmpty && !shouldClose && output.isEmpty
            && (reading == .head || reading == .done)
    }

    /// Whether some bytes of a head have arrived, but not all.
    package var isReceivingHead: Bool { reading == .head && !stash.isEmpty }

    /// Announces in the next answer that the connection will be closed.
    package mutating func closeAfterThisExchange() { closesAfterExchange = true }

    // MARK: - Events

    /// Hands in bytes from the peer; they must stay valid until ``nextEvent()`` returns nil.
    package mutating func receive(_ bytes: UnsafeRawBufferPointer) {
        unsafe precondition(input.isEmpty, "the last input has not been read to its end")
        unsafe input = bytes
    }

    /// The next event, or nil when the input is used up or has to wait.
    package mutating func nextEvent() throws(HTTP1Failure) -> HTTP1Event? {
        if owed > 0, output.count <= HTTP1Session.outputHighWater / 2 {
            defer { owed = 0 }
            return .drained(owed)
        }
        do {
            return try read()
        } catch {
            reading = .broken
            shouldClose = true
            unsafe input = UnsafeRawBufferPointer(start: nil, count: 0)
            stash.removeAll()
            throw error
        }
    }

    /// The peer has closed its side: the end of a response without length, else a failure in the
    /// middle of a message.
    package mutating func receiveEnd() throws(HTTP1Failure) {
        shouldClose = true
        switch reading {
        case .untilClose: hasEnded = true
        case .done, .broken: break
        case .head:
            guard stash.isEmpty, !(role == .client && isExchangeOpen) else {
                throw HTTP1Failure(0, "the connection ended inside a head")
            }
        default: throw HTTP1Failure(0, "the connection ended inside a body")
        }
    }

    // MARK: - Reading

    private mutating func read() throws(HTTP1Failure) -> HTTP1Event? {
        while true {
            switch reading {
            case .head:
                if role == .client, !isExchangeOpen {
                    guard unsafe input.isEmpty else {
                        throw HTTP1Failure(502, "bytes nobody has asked for")
                    }
                    return nil
                }
                guard let event = try readHead() else { return nil }
                return event
            case .length(let remaining):
                guard let bytes = unsafe take(remaining) else { return nil }
                let isLast = bytes.count == remaining
                reading = isLast ? .done : .length(remaining - bytes.count)
                if isLast { messageReceived() }
                return unsafe .data(bytes, endStream: isLast)
            case .chunkSize:
                guard try readChunkSize() else { return nil }
            case .chunk(let remaining):
                guard let bytes = unsafe take(remaining) else { return nil }
                reading = bytes.count == remaining
                    ? .chunkEnd : .chunk(remaining - bytes.count)
                return unsafe .data(bytes, endStream: false)
            case .chunkEnd:
                guard try readChunkEnd() else { return nil }
            case .trailers:
                guard let event = try readTrailers() else { return nil }
                return event
            case .untilClose:
                if let bytes = unsafe take(.max) { return unsafe .data(bytes, endStream: false) }
                guard hasEnded else { return nil }
                reading = .done
                messageReceived()
                return unsafe .data(UnsafeRawBufferPointer(start: nil, count: 0), endStream: true)
            case .done:
                if role == .server {
                    stashInput()
                    return nil
                }
                guard unsafe input.isEmpty else {
                    throw HTTP1Failure(502, "bytes after the response's end")
                }
                return nil
            case .broken: return nil
            }
        }
    }

    /// Up to `maximum` bytes of body, from the stash first.
    private mutating func take(_ maximum: Int) -> UnsafeRawBufferPointer? {
        // Bytes of the stash stay where they are until the next call; only the count moves.
        finishStashRead()
        if !stash.isEmpty {
            let count = min(maximum, stash.count)
            stashBorrowed = count
            return unsafe UnsafeRawBufferPointer(rebasing: stash.bytes[..<count])
        }
        guard unsafe !input.isEmpty else { return nil }
        let count = unsafe min(maximum, input.count)
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: input[..<count])
        unsafe input = UnsafeRawBufferPointer(rebasing: input[count...])
        return unsafe bytes
    }

    private var stashBorrowed = 0

    private mutating func finishStashRead() {
        guard stashBorrowed > 0 else { return }
        stash.consume(stashBorrowed)
        stashBorrowed = 0
    }

    private mutating func takeByte() -> UInt8? {
        finishStashRead()
        if !stash.isEmpty {
            let byte = unsafe stash.bytes[0]
            stash.consume(1)
            return byte
        }
        guard unsafe !input.isEmpty else { return nil }
        let byte = unsafe input[0]
        unsafe input = UnsafeRawBufferPointer(rebasing: input[1...])
        return byte
    }

    private mutating func stashInput() {
        finishStashRead()
        unsafe stash.append(input)
        unsafe input = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private mutating func readHead() throws(HTTP1Failure) -> HTTP1Event? {
        finishStashRead()
        try skipEmptyLines()
        if stash.isEmpty {
            guard unsafe !input.isEmpty else { return nil }
            let bytes = unsafe input
            if let length = unsafe HTTP1HeadParser.headLength(bytes, searched: 0) {
                unsafe input = UnsafeRawBufferPointer(rebasing: input[length...])
                return unsafe try parseHead(
                    UnsafeRawBufferPointer(rebasing: bytes[..<length]))
            }
            stashInput()
            try checkHeadSize(stash.count)
            stashSearched = max(0, stash.count - 3)
            return nil
        }
        unsafe stash.append(input)
        unsafe input = UnsafeRawBufferPointer(start: nil, count: 0)
        guard
            let length = unsafe HTTP1HeadParser.headLength(
                stash.bytes, searched: stashSearched)
        else {
            try checkHeadSize(stash.count)
            stashSearched = max(0, stash.count - 3)
            return nil
        }
        stashSearched = 0
        stashBorrowed = length
        return unsafe try parseHead(UnsafeRawBufferPointer(rebasing: stash.bytes[..<length]))
    }

    /// One or two empty lines before a request are tolerated (RFC 9112 §2.2).
    private mutating func skipEmptyLines() throws(HTTP1Failure) {
        guard role == .server else { return }
        while stash.isEmpty, unsafe input.count >= 2, unsafe input[0] == ASCII.carriageReturn,
            unsafe input[1] == ASCII.lineFeed
        {
            unsafe input = UnsafeRawBufferPointer(rebasing: input[2...])
            emptyLines += 1
            guard emptyLines <= 2 else { throw HTTP1Failure(400, "empty lines, no request") }
        }
        if stash.count >= 2, unsafe stash.bytes[0] == ASCII.carriageReturn,
            unsafe stash.bytes[1] == ASCII.lineFeed
        {
            stash.consume(2)
            stashSearched = 0
            emptyLines += 1
            guard emptyLines <= 2 else { throw HTTP1Failure(400, "empty lines, no request") }
            try skipEmptyLines()
        }
    }

    private func checkHeadSize(_ count: Int) throws(HTTP1Failure) {
        guard count > headMaximum else { return }
        let hasLine = unsafe stash.bytes.contains(ASCII.lineFeed)
        throw role == .client
            ? HTTP1Failure(502, "the response's head is too long")
            : hasLine
                ? HTTP1Failure(431, "the request's head exceeds limits.maxHeaderBytes")
                : HTTP1Failure(414, "the request line exceeds limits.maxHeaderBytes")
    }

    private mutating func parseHead(
        _ bytes: UnsafeRawBufferPointer
    ) throws(HTTP1Failure) -> HTTP1Event {
        try checkWholeHead(bytes.count)
        let block = arena.blocks.take()
        do {
            framing =
                role == .server
                ? unsafe try HTTP1HeadParser.request(bytes, into: block, isSecure: isSecure)
                : unsafe try HTTP1HeadParser.response(
                    bytes, into: block, toHead: sentHeadRequest)
        } catch {
            arena.blocks.give(block)
            throw error
        }
        emptyLines = 0
        if role == .client, framing.status < 200 {
            interimCount += 1
            guard framing.status != 101, interimCount <= Int(AbuseGuard.interimMaximum) else {
                arena.blocks.give(block)
                throw HTTP1Failure(502, "an interim response nobody asked for")
            }
            return .interim(block)
        }
        isExchangeOpen = true
        expectsContinue = framing.expectsContinue && framing.body != .none
        block.remove(.transferEncoding)
        switch framing.body {
        case .none: reading = .done
        case .length(let length): reading = .length(length)
        case .chunked: reading = .chunkSize
        case .close: reading = .untilClose
        }
        if role == .client, !framing.keepsAlive { shouldClose = true }
        let isWhole = framing.body == .none
        if isWhole { messageReceived() }
        return .head(block, endStream: isWhole)
    }

    private func checkWholeHead(_ count: Int) throws(HTTP1Failure) {
        guard count > headMaximum else { return }
        throw role == .client
            ? HTTP1Failure(502, "the response's head is too long")
            : HTTP1Failure(431, "the request's head exceeds limits.maxHeaderBytes")
    }

    /// `chunk-size [ chunk-ext ] CRLF` (RFC 9112 §7.1), a byte at a time over any cut.
    private mutating func readChunkSize() throws(HTTP1Failure) -> Bool {
        while let byte = takeByte() {
            chunkLine += 1
            guard chunkLine <= HTTP1Session.chunkLineMaximum else {
                throw HTTP1Failure(framingStatus, "a chunk extension that does not end")
            }
            if chunkCarriageReturn {
                guard byte == ASCII.lineFeed, chunkDigits > 0 else {
                    throw HTTP1Failure(framingStatus, "a chunk size line without its line feed")
                }
                let size = chunkSize
                (chunkSize, chunkDigits, chunkLine) = (0, 0, 0)
                (inChunkExtension, chunkCarriageReturn) = (false, false)
                reading = size == 0 ? .trailers : .chunk(size)
                return true
            }
            if byte == ASCII.carriageReturn {
                chunkCarriageReturn = true
            } else if inChunkExtension {
                guard byte >= 0x20 && byte != 0x7F || byte == ASCII.tab else {
                    throw HTTP1Failure(framingStatus, "a control character in a chunk extension")
                }
            } else if byte == ASCII.semicolon, chunkDigits > 0 {
                inChunkExtension = true
            } else if let digit = ASCII.hexadecimalValue(byte) {
                chunkDigits += 1
                guard chunkDigits <= 15 else {
                    throw HTTP1Failure(framingStatus, "a chunk size beyond 60 bits")
                }
                chunkSize = chunkSize << 4 | Int(digit)
            } else {
                throw HTTP1Failure(framingStatus, "a chunk size that is not hexadecimal")
            }
        }
        return false
    }

    private mutating func readChunkEnd() throws(HTTP1Failure) -> Bool {
        while let byte = takeByte() {
            if chunkCarriageReturn {
                guard byte == ASCII.lineFeed else {
                    throw HTTP1Failure(framingStatus, "a chunk longer than its size")
                }
                chunkCarriageReturn = false
                reading = .chunkSize
                return true
            }
            guard byte == ASCII.carriageReturn else {
                throw HTTP1Failure(framingStatus, "a chunk longer than its size")
            }
            chunkCarriageReturn = true
        }
        return false
    }

    private mutating func readTrailers() throws(HTTP1Failure) -> HTTP1Event? {
        stashInput()
        // Without trailer fields the section is just its empty line.
        if stash.count >= 2, unsafe stash.bytes[0] == ASCII.carriageReturn {
            guard unsafe stash.bytes[1] == ASCII.lineFeed else {
                throw HTTP1Failure(framingStatus, "a carriage return without line feed")
            }
            stash.consume(2)
            reading = .done
            messageReceived()
            return unsafe .data(UnsafeRawBufferPointer(start: nil, count: 0), endStream: true)
        }
        guard let length = unsafe HTTP1HeadParser.headLength(stash.bytes, searched: 0) else {
            guard stash.count <= headMaximum else {
                throw HTTP1Failure(role == .server ? 431 : 502, "the trailers are too long")
            }
            return nil
        }
        let block = arena.blocks.take()
        do {
            unsafe try HTTP1HeadParser.fields(
                UnsafeRawBufferPointer(rebasing: stash.bytes[..<length]), from: 0, into: block)
        } catch {
            arena.blocks.give(block)
            throw error
        }
        stash.consume(length)
        // Fields that frame, route or authorise mean nothing here and could mislead (RFC 9110 §6.5.1).
        for index in 0..<block.count {
            switch block[index].name {
            case .contentLength, .transferEncoding, .host, .authorization, .transferCodings, .trailer,
                .connection, .keepAlive, .upgrade, .expect, .cookie, .cacheControl:
                block.remove(at: index)
            default: break
            }
        }
        reading = .done
        messageReceived()
        return .trailers(block)
    }

    private var framingStatus: Int { role == .server ? 400 : 502 }

    /// The peer's message is complete.
    private mutating func messageReceived() {
        expectsContinue = false
        if writing == .idle, role == .client || !isExchangeOpen { exchangeEnded() }
    }

    // MARK: - Writing

    /// Sends a response's head (server); takes the block.
    ///
    /// An interim one (1xx) goes to HTTP/1.1 peers only. The framing is ours: the head's
    /// `content-length` if it has one, else chunks, else (HTTP/1.0) the connection's end.
    package mutating func sendHead(_ head: FieldBlock, endStream: Bool) {
        let status = head.status
        if status < 200 {
            if !framing.isHTTP10 { writeResponse(head, status, keepLength: false, chunked: false) }
            arena.blocks.give(head)
            return
        }
        if closesAfterExchange || !framing.keepsAlive { shouldClose = true }
        // The client still sends: after this answer nobody will read that.
        let length = unsafe head.first(.contentLength).flatMap { unsafe ASCII.decimal($0) }
        let isBare = framing.isHeadRequest || status == 204 || status == 304
        if isBare {
            writing = .none
        } else if let length {
            writing = .length(length)
        } else if endStream {
            writing = .length(0)
            head.append(.contentLength, decimal: 0)
        } else if framing.isHTTP10 {
            writing = .untilClose
            shouldClose = true
        } else {
            writing = .chunked
        }
        if reading != .done { shouldClose = true }
        writeResponse(
            head, status, keepLength: status != 204, chunked: writing == .chunked)
        arena.blocks.give(head)
        if endStream { finishSending() }
    }

    /// Answers the request's `Expect: 100-continue`, unless its body has begun to arrive.
    package mutating func sendContinue() {
        guard expectsContinue else { return }
        expectsContinue = false
        guard unsafe input.isEmpty, stash.count == stashBorrowed else { return }
        output.append("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Sends a request's head (client); takes the block.
    package mutating func sendRequest(_ head: FieldBlock, endStream: Bool) {
        precondition(role == .client && !isExchangeOpen, "one exchange at a time")
        isExchangeOpen = true
        interimCount = 0
        reading = .head
        let length = unsafe head.first(.contentLength).flatMap { unsafe ASCII.decimal($0) }
        sentHeadRequest = unsafe head.first(.method).map {
            unsafe ASCII.equal($0, "HEAD")
        } ?? false
        if let length {
            writing = .length(length)
        } else if endStream {
            writing = .none
        } else {
            writing = .chunked
        }
        if let method = unsafe head.first(.method), let path = unsafe head.first(.path) {
            unsafe output.append(method)
            output.append(byte: ASCII.space)
            unsafe output.append(path)
        }
        output.append(" HTTP/1.1\r\nhost: ")
        if let authority = unsafe head.first(.authority) { unsafe output.append(authority) }
        output.append("\r\n")
        writeFields(head, keepLength: true)
        if writing == .chunked { output.append("transfer-encoding: chunked\r\n") }
        output.append("\r\n")
        arena.blocks.give(head)
        if endStream { finishSending() }
    }

    /// Sends body bytes; returns how many the peer is near enough to taking, the rest is owed and
    /// reported by ``HTTP1Event/drained(_:)``.
    package mutating func send(_ bytes: UnsafeRawBufferPointer, endStream: Bool) -> Int {
        let count = bytes.count
        switch writing {
        case .length(let remaining):
            // More than was promised would be read as the next message.
            let allowed = min(count, remaining)
            unsafe output.append(UnsafeRawBufferPointer(rebasing: bytes[..<allowed]))
            writing = .length(remaining - allowed)
            if allowed < count { shouldClose = true }
        case .chunked:
            if count > 0 {
                writeChunkSize(count)
                unsafe output.append(bytes)
                output.append("\r\n")
            }
        case .untilClose: unsafe output.append(bytes)
        case .none, .idle: break
        }
        if endStream { finishSending() }
        if output.count <= HTTP1Session.outputHighWater { return count }
        owed += count
        return 0
    }

    /// Ends our message with trailers, if its framing has a place for them; takes the block.
    package mutating func sendTrailers(_ trailers: FieldBlock) {
        if writing == .chunked {
            output.append("0\r\n")
            writeFields(trailers, keepLength: false)
            output.append("\r\n")
            writing = .none
        }
        arena.blocks.give(trailers)
        finishSending()
    }

    private mutating func finishSending() {
        switch writing {
        case .length(let remaining):
            // Less than was promised: only closing tells the peer.
            if remaining > 0 { shouldClose = true }
        case .chunked: output.append("0\r\n\r\n")
        case .untilClose, .none, .idle: break
        }
        writing = .idle
        if role == .server || reading == .done { exchangeEnded() }
    }

    private mutating func exchangeEnded() {
        isExchangeOpen = false
        owed = 0
        expectsContinue = false
        guard !shouldClose else {
            reading = .broken
            return
        }
        if role == .server || reading == .done { reading = .head }
    }

    private mutating func writeResponse(
        _ head: FieldBlock, _ status: Int, keepLength: Bool, chunked: Bool
    ) {
        output.append("HTTP/1.1 ")
        output.append(decimal: status)
        output.append(byte: ASCII.space)
        output.append(StatusLine.reason(status))
        output.append("\r\n")
        writeFields(head, keepLength: keepLength)
        if chunked { output.append("transfer-encoding: chunked\r\n") }
        if status >= 200 {
            if shouldClose {
                output.append("connection: close\r\n")
            } else if framing.isHTTP10 {
                output.append("connection: keep-alive\r\n")
            }
        }
        output.append("\r\n")
    }

    private mutating func writeFields(_ block: FieldBlock, keepLength: Bool) {
        var cookies = 0
        for index in 0..<block.count {
            let field = block[index]
            if field.isRemoved || field.name.isPseudo || field.name.isHopByHop { continue }
            switch field.name {
            case .host: continue
            case .contentLength: if !keepLength { continue }
            case .cookie:
                // HTTP/2 may split a cookie into crumbs (RFC 9113 §8.2.3).
                cookies += 1
                continue
            default: break
            }
            let name = unsafe block.name(of: field)
            let value = unsafe block.value(of: field)
            let place = unsafe output.reserve(name.count + value.count + 4)
            unsafe UnsafeMutableRawPointer(place).copyMemory(
                from: name.baseAddress.unsafelyUnwrapped, byteCount: name.count)
            unsafe place[name.count] = ASCII.colon
            unsafe place[name.count + 1] = ASCII.space
            if let from = value.baseAddress {
                unsafe UnsafeMutableRawPointer(place + name.count + 2).copyMemory(
                    from: from, byteCount: value.count)
            }
            unsafe place[name.count + 2 + value.count] = ASCII.carriageReturn
            unsafe place[name.count + 3 + value.count] = ASCII.lineFeed
            output.commit(name.count + value.count + 4)
        }
        guard cookies > 0 else { return }
        output.append("cookie: ")
        var isFirst = true
        for index in 0..<block.count
        where block[index].name == .cookie && !block[index].isRemoved {
            if !isFirst { output.append("; ") }
            unsafe output.append(block.value(of: block[index]))
            isFirst = false
        }
        output.append("\r\n")
    }

    private mutating func writeChunkSize(_ count: Int) {
        let digits = max(1, (Int.bitWidth - count.leadingZeroBitCount + 3) / 4)
        let place = unsafe output.reserve(digits + 2)
        var rest = count
        for index in (0..<digits).reversed() {
            let digit = UInt8(rest & 15)
            unsafe place[index] = digit < 10 ? ASCII.zero + digit : UInt8(ascii: "a") + digit - 10
            rest >>= 4
        }
        unsafe place[digits] = ASCII.carriageReturn
        unsafe place[digits + 1] = ASCII.lineFeed
        output.commit(digits + 2)
    }
}
