import SluiceCore

// What the owner asks the session to say.
extension HTTP1Session {
    // MARK: - Heads

    /// Sends a response head (server); takes the block.
    ///
    /// The framing is chosen here: `content-length` if the block has one, chunks for HTTP/1.1,
    /// the connection's end for HTTP/1.0. An interim response goes to HTTP/1.1 peers only, 101
    /// and an unexpected 100 to nobody; `endStream` means nothing for it.
    package mutating func sendHead(_ head: FieldBlock, endStream: Bool) {
        precondition(role == .server, "only a server responds")
        defer { arena.blocks.give(head) }
        guard case .head = writing else {
            if case .lost = writing { return }
            preconditionFailure("a response without a request, or a second one")
        }
        let status = head.status
        guard status >= 200 else {
            sendInterim(head, status)
            return
        }
        expectsContinue = false
        let isBodyless = isHeadExchange || status == 204 || status == 304
        let length = HTTP1Writer.contentLength(of: head)
        var framing = HTTP1Writer.Framing.none
        if isBodyless {
            if let length, status != 204 { framing = .length(length) }
            writing = .nothing
        } else if endStream {
            framing = .length(length ?? 0)
            writing = .length(remaining: length ?? 0)
        } else if let length {
            framing = .length(length)
            writing = .length(remaining: length)
        } else if peerMinorVersion >= 1 {
            framing = .chunked
            writing = .chunked
        } else {
            writing = .untilClose
            isPersistent = false
        }
        if isLastExchange || (endStream && !isReadingDone) { isPersistent = false }
        let persistence: HTTP1Writer.Persistence =
            !isPersistent ? .close : peerMinorVersion == 0 ? .keepAlive : .implied
        write(head, status, framing, persistence)
        if endStream { end() }
    }

    /// Writes a final response head: a copy of one like it, if one was written before.
    private mutating func write(
        _ head: FieldBlock,
        _ status: Int,
        _ framing: HTTP1Writer.Framing,
        _ persistence: HTTP1Writer.Persistence
    ) {
        // All that the text hangs on besides the block, but for the length itself.
        var form: UInt64 = 1
        var length = 0
        switch framing {
        case .none: break
        case .length(let count):
            length = count
            form |= 2
        case .chunked: form |= 4
        }
        switch persistence {
        case .implied: break
        case .close: form |= 8
        case .keepAlive: form |= 16
        }
        let known = HTTP1Layout.repeatHead(
            head,
            form: form,
            length: length,
            from: arena.responseTexts,
            to: &output
        )
        guard known == nil else { return }
        HTTP1Writer.writeResponse(head, status, framing, persistence, to: &output)
            .keep(head, form: form, in: arena.responseTexts)
    }

    private mutating func sendInterim(_ head: FieldBlock, _ status: Int) {
        guard peerMinorVersion >= 1, status >= 100, status != 101 else { return }
        if status == 100 {
            guard expectsContinue else { return }
            expectsContinue = false
        }
        _ = HTTP1Writer.writeResponse(head, status, .none, .implied, to: &output)
    }

    /// Sends 100 (Continue) if the request waits for it and nothing has been said yet.
    package mutating func sendContinue() {
        guard expectsContinue, case .head = writing else { return }
        expectsContinue = false
        output.append("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Sends a request head (client); takes the block.
    ///
    /// The framing is `content-length` if the block has one, else chunks. A head that can't be
    /// written as HTTP/1.1 (CONNECT, a path with spaces) writes nothing and makes the next
    /// ``nextEvent()`` throw ``HTTP1Failure/Kind/badRequest``.
    package mutating func sendRequest(
        _ head: FieldBlock,
        endStream: Bool,
        keepsHead: Bool = false
    ) {
        precondition(role == .client, "only a client requests")
        defer { if !keepsHead { arena.blocks.give(head) } }
        guard case .idle = writing else {
            if case .lost = writing { return }
            preconditionFailure("a request while another is under way")
        }
        isPersistent = !isLastExchange
        let length = HTTP1Writer.contentLength(of: head)
        // All that the text hangs on besides the block, but for the length itself.
        var form: UInt64 = 32
        if endStream { form |= 2 }
        if length != nil { form |= 4 }
        if !isPersistent { form |= 8 }
        let known = HTTP1Layout.repeatHead(
            head,
            form: form,
            length: length ?? 0,
            from: arena.requestTexts,
            to: &output
        )
        if let known {
            isHeadExchange = known.isHead
        } else if let target = HTTP1Writer.target(of: head) {
            isHeadExchange = target.isHead
            let framing: HTTP1Writer.Framing =
                if let length {
                    .length(length)
                } else if endStream {
                    target.anticipatesContent ? .length(0) : .none
                } else {
                    .chunked
                }
            HTTP1Writer.writeRequest(
                head,
                target,
                framing,
                isPersistent ? .implied : .close,
                to: &output
            ).keep(head, form: form, in: arena.requestTexts)
        } else {
            refusal = HTTP1Failure(.badRequest, "the request can't be written as HTTP/1.1")
            writing = .lost
            shouldClose = true
            return
        }
        if endStream || length != nil {
            writing = .length(remaining: length ?? 0)
        } else {
            writing = .chunked
        }
        if endStream { end() }
    }

    // MARK: - Bodies

    /// Sends body bytes.
    ///
    /// All of them go to ``output``. Returns `bytes.count`, or 0 when more than
    /// ``outputHighWater`` waits there: the bytes are then owed, and reported by
    /// ``HTTP1Event/drained(_:)`` once less than ``outputLowWater`` waits. Bytes that no framing
    /// has room for (the response to HEAD, a message that is lost) are swallowed.
    package mutating func send(_ bytes: UnsafeRawBufferPointer, endStream: Bool) -> Int {
        switch writing {
        case .length(let remaining):
            guard bytes.count <= remaining else {
                failBody()
                return bytes.count
            }
            unsafe output.append(bytes)
            writing = .length(remaining: remaining - bytes.count)
        case .chunked: unsafe writeChunk(bytes)
        case .untilClose: unsafe output.append(bytes)
        case .nothing:
            if endStream { end() }
            return bytes.count
        case .lost: return bytes.count
        case .idle, .head, .done: preconditionFailure("a body outside its message")
        }
        if endStream { end() }
        guard output.count > HTTP1Session.outputHighWater, unsafe !bytes.isEmpty else {
            return bytes.count
        }
        owed += bytes.count
        return 0
    }

    /// Sends trailers, ending our side; takes the block.
    ///
    /// Only chunks can carry them, and of them only fields that may stand there
    /// (RFC 9110 §6.5.1); otherwise they are dropped.
    package mutating func sendTrailers(_ trailers: FieldBlock) {
        defer { arena.blocks.give(trailers) }
        switch writing {
        case .chunked:
            output.append("0\r\n")
            HTTP1Writer.writeTrailers(trailers, to: &output)
            finishWriting()
        case .idle, .head, .done: preconditionFailure("trailers outside their message")
        default: end()
        }
    }

    /// Ends our message as its framing wants it.
    private mutating func end() {
        switch writing {
        case .length(remaining: 0), .nothing: finishWriting()
        case .length: failBody()
        case .untilClose:
            isPersistent = false
            finishWriting()
        case .chunked:
            output.append("0\r\n\r\n")
            finishWriting()
        default: break
        }
    }

    /// Gives our message up, since it is longer or shorter than it promised to be.
    private mutating func failBody() {
        bodyMismatch = true
        shouldClose = true
        writing = .lost
        isPersistent = false
    }

    private mutating func writeChunk(_ bytes: UnsafeRawBufferPointer) {
        // An empty chunk would be the last.
        guard let from = bytes.baseAddress, unsafe !bytes.isEmpty else { return }
        let digits = (Int.bitWidth - bytes.count.leadingZeroBitCount + 3) / 4
        let place = unsafe output.reserve(digits + bytes.count + 4)
        for index in 0..<digits {
            let digit = UInt8(truncatingIfNeeded: bytes.count >> (4 * (digits - 1 - index))) & 15
            unsafe place[index] = digit < 10 ? ASCII.zero + digit : UInt8(ascii: "a") + digit - 10
        }
        var next = unsafe UnsafeMutableRawPointer(place + digits)
        unsafe next.storeBytes(of: HTTP1Writer.lineEnd, as: UInt16.self)
        unsafe next += 2
        unsafe next.copyMemory(from: from, byteCount: bytes.count)
        unsafe next += bytes.count
        unsafe next.storeBytes(of: HTTP1Writer.lineEnd, as: UInt16.self)
        output.commit(digits + bytes.count + 4)
    }
}
