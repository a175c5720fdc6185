import SluiceCore

// From bytes to frames, and what each frame means.
extension HTTP2Session {
    private static let preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    static let windowMaximum = 0x7FFF_FFFF

    /// Reads the input up to the next event; nil when it is used up.
    mutating func parse() throws(HTTP2Failure) -> HTTP2Event? {
        while true {
            switch reading {
            case .preface(let matched):
                guard try readPreface(matched) else { return nil }
            case .frameHeader:
                let header: HTTP2FrameHeader
                if partial.isEmpty, unsafe input.count >= HTTP2FrameHeader.size {
                    header = unsafe HTTP2FrameHeader(
                        reading: take(HTTP2FrameHeader.size).baseAddress.unsafelyUnwrapped
                    )
                } else {
                    guard let whole = takeCutFrameHeader() else { return nil }
                    header = whole
                }
                if let event = try begin(header) { return event }
            case .padLength(let header):
                guard unsafe !input.isEmpty else { return nil }
                let padding = unsafe Int(input[0])
                advance(1)
                guard padding < header.length else {
                    throw HTTP2Failure(.protocolError, "padding longer than its frame")
                }
                let remaining = header.length - 1 - padding
                if let event = try beginData(header, remaining: remaining, padding: padding) {
                    return event
                }
            case .data(let stream, let remaining, let padding, let endStream):
                if let event = try readData(stream, remaining, padding, endStream) { return event }
                if case .data = reading { return nil }
            case .skip(let remaining):
                let count = unsafe min(remaining, input.count)
                advance(count)
                guard count == remaining else {
                    reading = .skip(remaining - count)
                    return nil
                }
                reading = .frameHeader
            case .payload(let header):
                if let event = try readPayload(header) { return event }
                if case .payload = reading { return nil }
            case .nothing:
                unsafe advance(input.count)
                return nil
            }
            if unsafe untoldHead != nil { return nil }
        }
    }

    @inline(__always)
    private mutating func advance(_ count: Int) {
        unsafe precondition(count <= input.count, "more was read than came")
        unsafe input = UnsafeRawBufferPointer(
            start: input.baseAddress.map { unsafe $0 + count },
            count: input.count &- count
        )
    }

    /// The first `count` bytes of the input, which has as many.
    @inline(__always)
    private mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let bytes = unsafe UnsafeRawBufferPointer(start: input.baseAddress, count: count)
        advance(count)
        return unsafe bytes
    }

    private mutating func readPreface(_ matched: Int) throws(HTTP2Failure) -> Bool {
        let expected = unsafe HTTP2Session.preface.utf8Start
        let count = unsafe min(input.count, HTTP2Session.preface.utf8CodeUnitCount - matched)
        for index in 0..<count where unsafe input[index] != expected[matched + index] {
            throw HTTP2Failure(.protocolError, "the connection preface is not HTTP/2's")
        }
        advance(count)
        if matched + count == HTTP2Session.preface.utf8CodeUnitCount {
            reading = .frameHeader
            return true
        }
        reading = .preface(matched + count)
        return false
    }

    /// Nine octets from the input and what was kept of it before; nil until they are there.
    @inline(never)
    private mutating func takeCutFrameHeader() -> HTTP2FrameHeader? {
        let count = unsafe min(HTTP2FrameHeader.size - partial.count, input.count)
        unsafe partial.append(UnsafeRawBufferPointer(rebasing: input[..<count]))
        advance(count)
        guard partial.count == HTTP2FrameHeader.size,
            let base = unsafe partial.bytes.baseAddress
        else { return nil }
        let header = unsafe HTTP2FrameHeader(reading: base)
        partial.removeAll()
        return header
    }

    // MARK: - Frame by frame

    private mutating func begin(
        _ header: HTTP2FrameHeader
    ) throws(HTTP2Failure) -> HTTP2Event? {
        guard header.length <= local.maxFrameSize else {
            throw HTTP2Failure(.frameSizeError, "a frame longer than SETTINGS_MAX_FRAME_SIZE")
        }
        if !sawFirstFrame {
            guard header.type == HTTP2FrameType.settings, !header.has(HTTP2Flag.acknowledge) else {
                throw HTTP2Failure(.protocolError, "the first frame is not SETTINGS")
            }
            sawFirstFrame = true
        }
        if let open = headerBlock?.streamID {
            guard header.type == HTTP2FrameType.continuation, header.streamID == open else {
                throw HTTP2Failure(.protocolError, "a header block was interrupted")
            }
        } else {
            pieceCount &+= 1
        }
        switch header.type {
        case HTTP2FrameType.data:
            guard header.has(HTTP2Flag.padded) else {
                try countData(header)
                return try beginData(header, remaining: header.length, padding: 0)
            }
            guard header.length >= 1 else {
                throw HTTP2Failure(.frameSizeError, "a padded frame without a pad length")
            }
            try countData(header)
            reading = .padLength(header)
        case HTTP2FrameType.headers, HTTP2FrameType.priority, HTTP2FrameType.resetStream,
            HTTP2FrameType.settings, HTTP2FrameType.ping, HTTP2FrameType.goAway,
            HTTP2FrameType.windowUpdate, HTTP2FrameType.continuation:
            if unsafe input.count >= header.length {
                return unsafe try handle(header, take(header.length))
            }
            reading = .payload(header)
        case HTTP2FrameType.pushPromise:
            throw HTTP2Failure(.protocolError, "PUSH_PROMISE where push is off")
        default:
            try guardian.countUseless()
            reading = .skip(header.length)
        }
        return nil
    }

    /// The whole payload of a small frame, or nil until it has all arrived.
    private mutating func readPayload(
        _ header: HTTP2FrameHeader
    ) throws(HTTP2Failure)
        -> HTTP2Event?
    {
        let count = unsafe min(header.length - partial.count, input.count)
        unsafe partial.append(take(count))
        guard partial.count == header.length else { return nil }
        reading = .frameHeader
        // The payload moves out, so that handling may use `self` freely.
        var whole = ByteBuffer(pool: arena.buffers)
        swap(&whole, &partial)
        return unsafe try handle(header, whole.bytes)
    }

    private mutating func handle(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) -> HTTP2Event? {
        switch header.type {
        case HTTP2FrameType.headers: return unsafe try headers(header, payload)
        case HTTP2FrameType.continuation: return unsafe try continuation(header, payload)
        case HTTP2FrameType.priority: unsafe try priority(header, payload)
        case HTTP2FrameType.resetStream: return unsafe try resetStream(header, payload)
        case HTTP2FrameType.settings: return unsafe try settings(header, payload)
        case HTTP2FrameType.ping: unsafe try ping(header, payload)
        case HTTP2FrameType.goAway: return unsafe try goAway(header, payload)
        default: unsafe try windowUpdate(header, payload)
        }
        return nil
    }

    // MARK: - DATA

    private mutating func countData(_ header: HTTP2FrameHeader) throws(HTTP2Failure) {
        guard header.streamID != 0 else {
            throw HTTP2Failure(.protocolError, "DATA on stream 0")
        }
        receiveWindow -= header.length
        guard receiveWindow >= 0 else {
            throw HTTP2Failure(.flowControlError, "more DATA than the connection's window")
        }
    }

    private mutating func beginData(
        _ header: HTTP2FrameHeader,
        remaining: Int,
        padding: Int
    ) throws(HTTP2Failure) -> HTTP2Event? {
        let endStream = header.has(HTTP2Flag.endStream)
        // The connection's window covers padding and dropped frames as well.
        let overhead = header.length - remaining
        guard let stream = streams.find(header.streamID) else {
            try rejectIdle(header.streamID, "DATA on an idle stream")
            creditConnection(header.length)
            if recentlyReset.contains(header.streamID) {
                // What was under way in large frames is honest.
                if header.length < 1024 { try guardian.countUseless() }
            } else {
                try guardian.countFault()
                writeReset(header.streamID, .streamClosed)
                recentlyReset.insert(header.streamID)
            }
            reading = .skip(remaining + padding)
            return nil
        }
        let record = unsafe stream.record
        guard unsafe !record.pointee.isRemoteClosed, unsafe record.pointee.hasHead else {
            creditConnection(header.length)
            try fault(stream, unsafe record.pointee.isRemoteClosed ? .streamClosed : .protocolError)
            reading = .skip(remaining + padding)
            return nil
        }
        unsafe record.pointee.receiveWindow -= header.length
        guard unsafe record.pointee.receiveWindow >= 0 else {
            creditConnection(header.length)
            try fault(stream, .flowControlError)
            reading = .skip(remaining + padding)
            return nil
        }
        if unsafe record.pointee.expectedBody >= 0 {
            unsafe record.pointee.expectedBody -= remaining
            guard unsafe record.pointee.expectedBody >= 0,
                unsafe !endStream || record.pointee.expectedBody == 0
            else {
                creditConnection(header.length)
                try fault(stream, .protocolError)
                reading = .skip(remaining + padding)
                return nil
            }
        }
        if remaining > 0 {
            guardian.countMoved(remaining)
        } else if !endStream {
            try guardian.countUseless()
        }
        if overhead > 0 {
            creditConnection(overhead)
            if !endStream { creditStream(stream, overhead) }
        }
        unsafe record.pointee.unconsumed += remaining
        if role == .client { creditConnection(remaining) }
        // Most frames come in one piece, and then nothing needs to be remembered.
        guard padding == 0, remaining > 0, unsafe input.count >= remaining else {
            reading = .data(stream, remaining: remaining, padding: padding, endStream: endStream)
            return nil
        }
        reading = .frameHeader
        if endStream { closeRemote(stream) }
        return unsafe .data(stream, take(remaining), endStream: endStream)
    }

    private mutating func readData(
        _ stream: HTTP2Stream,
        _ remaining: Int,
        _ padding: Int,
        _ endStream: Bool
    ) throws(HTTP2Failure) -> HTTP2Event? {
        let count = unsafe min(remaining, input.count)
        guard count > 0 || remaining == 0 else { return nil }
        let bytes = unsafe take(count)
        guard count == remaining else {
            reading = .data(
                stream,
                remaining: remaining - count,
                padding: padding,
                endStream: endStream
            )
            return unsafe .data(stream, bytes, endStream: false)
        }
        reading = padding > 0 ? .skip(padding) : .frameHeader
        guard count > 0 || endStream else { return nil }
        if endStream { closeRemote(stream) }
        return unsafe .data(stream, bytes, endStream: endStream)
    }

    // MARK: - HEADERS

    private mutating func headers(
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

    private mutating func continuation(
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
        coder.decoder.remember(promised: checked?.contentLength, of: block)
        return checked?.contentLength
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
            try fault(stream, .protocolError)
            return nil
        }
        if unsafe record.pointee.hasHead {
            guard open.endStream, unsafe record.pointee.expectedBody <= 0, !isOversized,
                HTTP2HeadCheck.trailers(block)
            else {
                try fault(stream, .protocolError)
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
            try fault(stream, .protocolError)
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
                    try fault(stream, .protocolError)
                    return nil
                }
                return .interim(stream, block)
            }
            // What never has content may promise some all the same (RFC 9113 §8.1.1).
            if unsafe record.pointee.isHead || status == 204 || status == 304 { promised = 0 }
        }
        guard !open.endStream || promised <= 0 else {
            try fault(stream, .protocolError)
            return nil
        }
        unsafe record.pointee.expectedBody = promised
        unsafe record.pointee.hasHead = true
        if open.endStream { closeRemote(stream) }
        return .head(stream, block, endStream: open.endStream)
    }
}
