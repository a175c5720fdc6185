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
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
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
            fragmentCount &+= 1
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
}
