import SluiceCore

// HEADERS and CONTINUATION frames: from their fragments to a block of fields, and what that means.
extension HTTP2Session {
    mutating func headers(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) -> HTTP2Event? {
        let id = header.streamID
        guard id != 0 else { throw HTTP2Failure(.protocolError, "HEADERS on stream 0") }
        var fragment = unsafe payload
        if header.has(HTTP2Flag.padded) {
            guard unsafe !fragment.isEmpty else {
                throw HTTP2Failure(.frameSizeError, "a padded frame without a pad length")
            }
            guard unsafe Int(fragment[0]) < fragment.count else {
                throw HTTP2Failure(.protocolError, "padding longer than its frame")
            }
            unsafe fragment = UnsafeRawBufferPointer(
                rebasing: fragment[1..<(fragment.count - Int(fragment[0]))]
            )
        }
        var isSelfDependent = false
        if header.has(HTTP2Flag.priority) {
            guard fragment.count >= 5 else {
                throw HTTP2Failure(.frameSizeError, "HEADERS too short for its priority")
            }
            let dependency = unsafe UInt32(bigEndian: fragment.loadUnaligned(as: UInt32.self))
            isSelfDependent = dependency & 0x7FFF_FFFF == id
            unsafe fragment = UnsafeRawBufferPointer(rebasing: fragment[5...])
        }
        let endStream = header.has(HTTP2Flag.endStream)
        var stream = streams.find(id)
        var isRefused = false
        if let open = stream {
            if unsafe open.record.pointee.isRemoteClosed {
                throw HTTP2Failure(.streamClosed, "HEADERS after the stream's end")
            }
        } else if role == .server {
            guard id % 2 == 1 else {
                throw HTTP2Failure(.protocolError, "a client's stream with an even number")
            }
            if id > lastStreamID {
                if let last = goAwaySentLast, last != 0x7FFF_FFFF { isRefused = true }
                if streams.count >= local.maxConcurrentStreams { isRefused = true }
                if id > lastStreamID + 2 { skippedIDs = lastStreamID + 1..<id }
                lastStreamID = id
                if !isRefused { stream = open(id) }
            } else if skippedIDs.contains(id) {
                throw HTTP2Failure(.protocolError, "a stream below one opened before")
            } else if !recentlyReset.contains(id) {
                throw HTTP2Failure(.streamClosed, "HEADERS on a closed stream")
            }
        } else {
            try rejectIdle(id, "HEADERS on a stream we have not opened")
        }
        let open = HeaderBlock(
            streamID: id,
            stream: stream,
            endStream: endStream,
            isRefused: isRefused,
            isSelfDependent: isSelfDependent
        )
        if header.has(HTTP2Flag.endHeaders) { return unsafe try decode(fragment, open) }
        headerBlock = open
        unsafe fragments.append(fragment)
        return nil
    }

    mutating func continuation(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) -> HTTP2Event? {
        guard var open = headerBlock else {
            throw HTTP2Failure(.protocolError, "CONTINUATION without HEADERS")
        }
        open.fragments += 1
        guard open.fragments <= 1 + AbuseGuard.continuationMaximum else {
            throw HTTP2Failure(.continuationFlood, "too many CONTINUATION frames")
        }
        guard (fragments.count + payload.count) / 4 <= local.maxHeaderListSize else {
            throw HTTP2Session.bomb
        }
        unsafe fragments.append(payload)
        guard header.has(HTTP2Flag.endHeaders) else {
            headerBlock = open
            return nil
        }
        headerBlock = nil
        // The bytes move out, so that decoding may use `self` freely.
        var whole = ByteBuffer(pool: arena.buffers)
        swap(&whole, &fragments)
        return unsafe try decode(whole.bytes, open)
    }

    private static var bomb: HTTP2Failure {
        HTTP2Failure(.headerBomb, "a header block over four times the limit")
    }

    private mutating func decode(
        _ encoded: UnsafeRawBufferPointer,
        _ open: HeaderBlock
    ) throws(HTTP2Failure) -> HTTP2Event? {
        let block = blocks.take()
        let size: Int
        do {
            size = unsafe try coder.decoder.decode(
                encoded,
                into: block,
                maximum: local.maxHeaderListSize
            )
        } catch {
            blocks.give(block)
            switch error {
            case .malformed:
                throw HTTP2Failure(.compressionError, "a header block that is not HPACK")
            case .bomb: throw HTTP2Session.bomb
            }
        }
        if let event = try finish(open, block, isOversized: size > local.maxHeaderListSize) {
            return event
        }
        blocks.give(block)
        return nil
    }

    /// The body that a head promises, -1 for any; nil when it is malformed.
    private mutating func checkHead(_ block: FieldBlock) -> Int? {
        let checked =
            role == .server ? HTTP2HeadCheck.request(block) : HTTP2HeadCheck.response(block)
        if role == .server, checked != nil {
            block.hasSoundTarget = RequestTarget.isSound(block, isHTTP2: true)
        }
        // What is remembered is the head as it came.
        if let checked, !checked.isTrimmed, coder.decoder.isLastRemembered {
            block.repeatName = blocks.nameArrival()
            coder.decoder.remember(promised: checked.contentLength, of: block)
        }
        return checked?.contentLength
    }

    /// Whether a block is a trailer section as it should be.
    private mutating func checkTrailers(_ block: FieldBlock) -> Bool {
        guard let checked = HTTP2HeadCheck.trailers(block) else { return false }
        if !checked.isTrimmed, coder.decoder.isLastRemembered {
            block.repeatName = blocks.nameArrival()
            coder.decoder.remember(promised: nil, isTrailers: true, of: block)
        }
        return true
    }

    /// What a decoded block means; an event takes the block along.
    private mutating func finish(
        _ open: HeaderBlock,
        _ block: FieldBlock,
        isOversized: Bool
    ) throws(HTTP2Failure) -> HTTP2Event? {
        guard let stream = open.stream else {
            if open.isRefused {
                try guardian.countAnswer(isOutputEmpty: output.isEmpty)
                writeReset(open.streamID, .refusedStream)
                recentlyReset.insert(open.streamID)
            }
            try guardian.countUseless()
            return nil
        }
        let record = unsafe stream.record
        guard !open.isSelfDependent else {
            try fault(stream, .protocolError, .head)
            return nil
        }
        if unsafe record.pointee.hasHead {
            guard open.endStream, unsafe record.pointee.expectedBody <= 0, !isOversized,
                coder.decoder.isTrailers || checkTrailers(block)
            else {
                try fault(stream, .protocolError, .trailers)
                return nil
            }
            closeRemote(stream)
            return .trailers(stream, block)
        }
        if isOversized {
            unsafe record.pointee.hasHead = true
            if open.endStream { closeRemote(stream) }
            return .oversizedHead(stream, block, endStream: open.endStream)
        }
        guard var promised = coder.decoder.promised ?? checkHead(block) else {
            try fault(stream, .protocolError, .head)
            return nil
        }
        guardian.countUseful()
        if role == .client {
            let status = block.status
            if status < 200 {
                unsafe record.pointee.interimCount += 1
                guard !open.endStream,
                    unsafe record.pointee.interimCount <= AbuseGuard.interimMaximum
                else {
                    try fault(stream, .protocolError, .interim)
                    return nil
                }
                return .interim(stream, block)
            }
            // What never has content may promise some all the same (RFC 9113 §8.1.1).
            if unsafe record.pointee.isHead || status == 204 || status == 304 { promised = 0 }
        }
        guard !open.endStream || promised <= 0 else {
            try fault(stream, .protocolError, .bodyLength)
            return nil
        }
        unsafe record.pointee.expectedBody = promised
        unsafe record.pointee.hasHead = true
        if open.endStream { closeRemote(stream) }
        return .head(stream, block, endStream: open.endStream)
    }
}
