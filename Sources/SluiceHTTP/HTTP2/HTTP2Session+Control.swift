import SluiceCore

// The frames that carry no message: priorities, resets, settings, pings, windows, and what is done
// about a peer's mistakes.
extension HTTP2Session {
    mutating func priority(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) {
        guard header.streamID != 0 else {
            throw HTTP2Failure(.protocolError, "PRIORITY on stream 0")
        }
        try guardian.countUseless()
        guard payload.count == 5 else {
            try streamError(header.streamID, .frameSizeError, .priority)
            return
        }
        let dependency = unsafe UInt32(bigEndian: payload.loadUnaligned(as: UInt32.self))
        if dependency & 0x7FFF_FFFF == header.streamID {
            try streamError(header.streamID, .protocolError, .priority)
        }
    }

    mutating func resetStream(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) -> HTTP2Event? {
        guard header.streamID != 0 else {
            throw HTTP2Failure(.protocolError, "RST_STREAM on stream 0")
        }
        guard payload.count == 4 else {
            throw HTTP2Failure(.frameSizeError, "RST_STREAM that is not four octets")
        }
        try rejectIdle(header.streamID, "RST_STREAM on an idle stream")
        guard let stream = streams.find(header.streamID) else {
            try guardian.countUseless()
            return nil
        }
        if role == .server { try guardian.countReset() }
        let code = unsafe UInt32(bigEndian: payload.loadUnaligned(as: UInt32.self))
        close(stream)
        return .reset(stream, HTTP2ErrorCode(wire: code))
    }

    mutating func settings(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) -> HTTP2Event? {
        guard header.streamID == 0 else {
            throw HTTP2Failure(.protocolError, "SETTINGS on a stream")
        }
        if header.has(HTTP2Flag.acknowledge) {
            guard unsafe payload.isEmpty else {
                throw HTTP2Failure(.frameSizeError, "an acknowledgement with settings")
            }
            if isSettingsAcknowledged {
                try guardian.countUseless()
            } else {
                settingsWereAcknowledged()
            }
            return nil
        }
        guard payload.count % 6 == 0 else {
            throw HTTP2Failure(.frameSizeError, "SETTINGS that is not a multiple of six octets")
        }
        try guardian.countUseless(.settings)
        try guardian.countAnswer(isOutputEmpty: output.isEmpty)
        if !hasRemoteSettings { remote.maxConcurrentStreams = .max }
        let windowBefore = remote.initialWindowSize
        var windowHighest = windowBefore
        for offset in stride(from: 0, to: payload.count, by: 6) {
            let id = unsafe UInt16(
                bigEndian: payload.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
            )
            let value = unsafe Int(
                UInt32(
                    bigEndian: payload.loadUnaligned(fromByteOffset: offset + 2, as: UInt32.self)
                )
            )
            try apply(setting: id, value)
            windowHighest = max(windowHighest, remote.initialWindowSize)
        }
        try moveWindows(from: windowBefore, highest: windowHighest)
        hasRemoteSettings = true
        unsafe writeAcknowledgement(
            HTTP2FrameType.settings,
            payload: UnsafeRawBufferPointer(start: nil, count: 0)
        )
        return .settings
    }

    mutating func apply(setting id: UInt16, _ value: Int) throws(HTTP2Failure) {
        switch id {
        case 1: coder.encoder.limit(to: value)
        case 2:
            guard value <= (role == .server ? 1 : 0) else {
                throw HTTP2Failure(.protocolError, "SETTINGS_ENABLE_PUSH out of range")
            }
        case 3: remote.maxConcurrentStreams = value
        case 4:
            guard value <= HTTP2Session.windowMaximum else {
                throw HTTP2Failure(.flowControlError, "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1")
            }
            remote.initialWindowSize = value
        case 5:
            guard value >= 16_384, value <= 16_777_215 else {
                throw HTTP2Failure(.protocolError, "SETTINGS_MAX_FRAME_SIZE out of range")
            }
            // Frames of ours stay small enough that streams can take turns.
            remote.maxFrameSize = min(value, 64 << 10)
        case 6: remote.maxHeaderListSize = value
        default: break
        }
    }

    /// Follows a change of SETTINGS_INITIAL_WINDOW_SIZE in every open stream (RFC 9113 §6.9.2).
    ///
    /// One walk a frame, however often the frame changes its mind.
    mutating func moveWindows(from before: Int, highest: Int) throws(HTTP2Failure) {
        let change = remote.initialWindowSize - before
        guard change != 0 || highest != before else { return }
        for stream in streams.all {
            let window = unsafe stream.record.pointee.sendWindow
            guard window + highest - before <= HTTP2Session.windowMaximum else {
                throw HTTP2Failure(.flowControlError, "a window above 2^31-1")
            }
            unsafe stream.record.pointee.sendWindow = window + change
            if window + change > 0 { queue(stream) }
        }
    }

    mutating func ping(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) {
        guard header.streamID == 0 else { throw HTTP2Failure(.protocolError, "PING on a stream") }
        guard payload.count == 8 else {
            throw HTTP2Failure(.frameSizeError, "PING that is not eight octets")
        }
        if header.has(HTTP2Flag.acknowledge) {
            if awaitedPings > 0 { awaitedPings -= 1 } else { try guardian.countUseless(.ping) }
            return
        }
        try guardian.countUseless(.ping)
        try guardian.countAnswer(isOutputEmpty: output.isEmpty)
        unsafe writeAcknowledgement(HTTP2FrameType.ping, payload: payload)
    }

    mutating func goAway(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) -> HTTP2Event? {
        guard header.streamID == 0 else {
            throw HTTP2Failure(.protocolError, "GOAWAY on a stream")
        }
        guard payload.count >= 8 else {
            throw HTTP2Failure(.frameSizeError, "GOAWAY shorter than eight octets")
        }
        try guardian.countUseless()
        let last = unsafe UInt32(bigEndian: payload.loadUnaligned(as: UInt32.self)) & 0x7FFF_FFFF
        let code = unsafe UInt32(
            bigEndian: payload.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        )
        if let before = goAwayReceivedLast, last > before {
            throw HTTP2Failure(.protocolError, "a second GOAWAY that takes streams back")
        }
        goAwayReceivedLast = last
        if role == .client {
            // Never processed there, so safe to send elsewhere (RFC 9113 §6.8).
            // Oldest first, so that they start elsewhere in the order in which they started here.
            let lost = streams.all.filter { $0.id > last }.sorted { $0.id < $1.id }
            for stream in lost {
                close(stream, telling: .refusedStream)
            }
        }
        return .goAway(last: last, HTTP2ErrorCode(wire: code))
    }

    mutating func windowUpdate(
        _ header: HTTP2FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(HTTP2Failure) {
        guard payload.count == 4 else {
            throw HTTP2Failure(.frameSizeError, "WINDOW_UPDATE that is not four octets")
        }
        let increment = unsafe Int(
            UInt32(bigEndian: payload.loadUnaligned(as: UInt32.self)) & 0x7FFF_FFFF
        )
        if header.streamID == 0 {
            guard increment > 0 else {
                throw HTTP2Failure(.protocolError, "WINDOW_UPDATE of nothing")
            }
            sendWindow += increment
            guard sendWindow <= HTTP2Session.windowMaximum else {
                throw HTTP2Failure(.flowControlError, "a connection window above 2^31-1")
            }
            try guardian.countUseless()
            return
        }
        try rejectIdle(header.streamID, "WINDOW_UPDATE on an idle stream")
        guard let stream = streams.find(header.streamID) else {
            try guardian.countUseless()
            return
        }
        guard increment > 0 else {
            try fault(stream, .protocolError, .windowIncrement)
            return
        }
        unsafe stream.record.pointee.sendWindow += increment
        guard unsafe stream.record.pointee.sendWindow <= HTTP2Session.windowMaximum else {
            try fault(stream, .flowControlError, .windowOverflow)
            return
        }
        // Even where something waits: window by the byte costs more than it moves.
        try guardian.countUseless()
        if unsafe !stream.record.pointee.pending.isEmpty,
            unsafe stream.record.pointee.sendWindow > 0
        {
            queue(stream)
        }
    }

    // MARK: - Faults

    /// Ends the connection when `id` names a stream nobody has opened yet (RFC 9113 §5.1).
    func rejectIdle(_ id: UInt32, _ sentence: StaticString) throws(HTTP2Failure) {
        if isIdle(id) { throw HTTP2Failure(.protocolError, sentence) }
    }

    /// Whether `id` names a stream nobody has opened yet; all even ones, as nobody pushes.
    func isIdle(_ id: UInt32) -> Bool { id % 2 == 0 || id > lastStreamID }

    /// Resets a stream for its peer's mistake; tells the owner when it knows of the stream.
    mutating func fault(
        _ stream: HTTP2Stream,
        _ code: HTTP2ErrorCode,
        _ fault: HTTP2StreamFault
    ) throws(HTTP2Failure) {
        unsafe stream.record.pointee.fault = fault
        try guardian.countFault()
        try guardian.countAnswer(isOutputEmpty: output.isEmpty)
        let isKnown = unsafe stream.record.pointee.hasHead || role == .client
        writeReset(stream.id, code)
        recentlyReset.insert(stream.id)
        close(stream, telling: isKnown ? code : nil)
    }

    /// Answers a stream error on a stream that may not exist.
    ///
    /// An idle stream can't be reset, so there it ends the connection (RFC 9113 §5.1).
    mutating func streamError(
        _ id: UInt32,
        _ code: HTTP2ErrorCode,
        _ fault: HTTP2StreamFault
    ) throws(HTTP2Failure) {
        if let stream = streams.find(id) {
            try self.fault(stream, code, fault)
        } else {
            guard !isIdle(id) else {
                throw HTTP2Failure(code, "a malformed frame on an idle stream")
            }
            try guardian.countFault()
            // Over already, perhaps by our own answer a moment ago; the peer is told all the same.
            writeReset(id, code)
            recentlyReset.insert(id)
        }
    }
}
