import SluiceCore

// DATA frames: what they take from the windows, and whether they are allowed where they come.
extension HTTP2Session {
    mutating func countData(_ header: HTTP2FrameHeader) throws(HTTP2Failure) {
        guard header.streamID != 0 else {
            throw HTTP2Failure(.protocolError, "DATA on stream 0")
        }
        receiveWindow -= header.length
        guard receiveWindow >= 0 else {
            throw HTTP2Failure(.flowControlError, "more DATA than the connection's window")
        }
    }

    mutating func beginData(
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
            try fault(
                stream,
                unsafe record.pointee.isRemoteClosed ? .streamClosed : .protocolError,
                .dataOutOfPlace
            )
            reading = .skip(remaining + padding)
            return nil
        }
        unsafe record.pointee.receiveWindow -= header.length
        guard unsafe record.pointee.receiveWindow >= 0 else {
            creditConnection(header.length)
            try fault(stream, .flowControlError, .dataBeyondWindow)
            reading = .skip(remaining + padding)
            return nil
        }
        if unsafe record.pointee.expectedBody >= 0 {
            unsafe record.pointee.expectedBody -= remaining
            guard unsafe record.pointee.expectedBody >= 0,
                unsafe !endStream || record.pointee.expectedBody == 0
            else {
                creditConnection(header.length)
                try fault(stream, .protocolError, .bodyLength)
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

    /// The whole body of `stream`, whose head has just been told, if the next frame brings it and has
    /// come; nothing is consumed.
    ///
    /// The next event but one at the latest tells these very bytes, unless the connection ends.
    package mutating func upcomingBody(of stream: HTTP2Stream) -> UnsafeRawBufferPointer? {
        guard case .frameHeader = reading, partial.isEmpty,
            unsafe input.count > HTTP2FrameHeader.size, let start = unsafe input.baseAddress
        else { return nil }
        let header = unsafe HTTP2FrameHeader(reading: start)
        guard header.type == HTTP2FrameType.data, header.flags == HTTP2Flag.endStream,
            header.streamID == stream.id,
            unsafe header.length <= input.count &- HTTP2FrameHeader.size
        else { return nil }
        return unsafe UnsafeRawBufferPointer(
            start: start + HTTP2FrameHeader.size,
            count: header.length
        )
    }

    mutating func readData(
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
}
