import SluiceCore

// What the owner asks the session to say.
extension HTTP2Session {
    /// Opens a stream with a request head (client); nil when ``canOpenStream`` is false.
    ///
    /// The block's memory goes to the session.
    package mutating func openStream(
        _ head: FieldBlock,
        endStream: Bool,
        keepsHead: Bool = false,
        context: UnsafeMutableRawPointer?
    ) -> HTTP2Stream? {
        precondition(role == .client, "only a client opens streams")
        guard canOpenStream else {
            if !keepsHead { blocks.give(head) }
            return nil
        }
        lastStreamID = lastStreamID == 0 ? 1 : lastStreamID + 2
        let stream = open(lastStreamID)
        unsafe stream.record.pointee.context = context
        if let method = unsafe head.first(.method) {
            unsafe stream.record.pointee.isHead = ASCII.equal(method, "HEAD")
        }
        writeHead(head, stream: stream, endStream: endStream, keepsHead: keepsHead)
        return stream
    }

    /// Sends a response head, interim or final (server); takes the block.
    package mutating func sendHead(_ head: FieldBlock, endStream: Bool, on stream: HTTP2Stream) {
        guard !isLost(stream) else {
            blocks.give(head)
            return
        }
        writeHead(head, stream: stream, endStream: endStream)
    }

    /// Sends trailers after whatever body still waits, ending our side; takes the block.
    package mutating func sendTrailers(_ trailers: FieldBlock, on stream: HTTP2Stream) {
        guard !isLost(stream) else {
            blocks.give(trailers)
            return
        }
        unsafe precondition(!stream.record.pointee.isLocalClosed, "this side has ended already")
        if unsafe stream.record.pointee.pending.isEmpty {
            writeHead(trailers, stream: stream, endStream: true)
        } else {
            unsafe stream.record.pointee.trailers = trailers
        }
    }

    /// Sends body bytes; what finds no window or room waits in the stream.
    ///
    /// Returns how many bytes went out at once; the rest is reported by
    /// ``HTTP2Event/drained(_:_:)``. The caller bounds what waits by not taking more from its
    /// source.
    package mutating func send(
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool,
        on stream: HTTP2Stream
    ) -> Int {
        guard !isLost(stream) else { return bytes.count }
        guard unsafe !bytes.isEmpty || endStream else { return 0 }
        unsafe precondition(!stream.record.pointee.isLocalClosed, "this side has ended already")
        var rest = unsafe bytes
        if unsafe stream.record.pointee.pending.isEmpty {
            repeat {
                let length = room(for: rest.count, on: stream)
                if unsafe length == 0 && !rest.isEmpty { break }
                let isLast = length == rest.count
                unsafe writeData(
                    UnsafeRawBufferPointer(rebasing: rest[..<length]),
                    stream: stream,
                    endStream: endStream && isLast
                )
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest[length...])
                if isLast {
                    if endStream { closeLocal(stream) }
                    return bytes.count
                }
            } while true
        }
        unsafe stream.record.pointee.pending.append(rest, pool: arena.buffers)
        unsafe stream.record.pointee.endsAfterPending = endStream
        if unsafe stream.record.pointee.sendWindow > 0 { queue(stream) }
        return bytes.count - rest.count
    }

    /// Whether the stream is lost and its owner about to be told, so that what it says is dropped.
    func isLost(_ stream: HTTP2Stream) -> Bool {
        unsafe stream.record.pointee.untoldReset != nil
    }

    /// Ends a stream at once in both directions (RFC 9113 §6.4); nothing if it is over already.
    package mutating func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        // Closed already: its record stands in a list and must not enter it twice.
        guard !(stream.isLocalClosed && stream.isRemoteClosed) else { return }
        writeReset(stream.id, code)
        recentlyReset.insert(stream.id)
        close(stream)
    }

    /// Tells the session that `count` delivered body bytes have been passed on, which gives the
    /// peer window for as many more.
    package mutating func consumed(_ count: Int, by stream: HTTP2Stream) {
        let record = unsafe stream.record
        // Closing has settled the account already.
        guard unsafe !(record.pointee.isLocalClosed && record.pointee.isRemoteClosed) else {
            return
        }
        unsafe record.pointee.unconsumed -= count
        if role == .server { creditConnection(count) }
        guard unsafe !record.pointee.isRemoteClosed else { return }
        creditStream(stream, count)
    }

    /// Gives the peer window on a stream once half of it has been passed on.
    mutating func creditStream(_ stream: HTTP2Stream, _ count: Int) {
        let record = unsafe stream.record
        unsafe record.pointee.uncredited += count
        guard unsafe record.pointee.uncredited * 2 >= record.pointee.receiveTarget else { return }
        // A body that fills half the first window is worth a larger one.
        let growth = unsafe max(0, HTTP2Session.grownWindow - record.pointee.receiveTarget)
        let increment = unsafe record.pointee.uncredited + growth
        unsafe writeWindowUpdate(record.pointee.id, increment)
        unsafe record.pointee.receiveWindow += increment
        unsafe record.pointee.receiveTarget += growth
        unsafe record.pointee.uncredited = 0
    }

    /// Announces the end: first `isFinal: false` (nothing is refused yet), then `true`.
    ///
    /// See RFC 9113 §6.8 on graceful shutdown.
    package mutating func sendGoAway(isFinal: Bool, code: HTTP2ErrorCode = .noError) {
        let last = isFinal ? lastPeerStreamID : 0x7FFF_FFFF
        guard goAwaySentLast == nil || (isFinal && goAwaySentLast == 0x7FFF_FFFF) else { return }
        writeGoAway(last: last, code)
    }

    /// Sends a PING with eight opaque octets.
    package mutating func sendPing(_ opaque: UInt64) {
        awaitedPings += 1
        let place = unsafe output.reserve(17)
        unsafe HTTP2FrameHeader(length: 8, type: HTTP2FrameType.ping, flags: 0, streamID: 0)
            .write(to: place)
        unsafe UnsafeMutableRawPointer(place + 9).storeBytes(of: opaque, as: UInt64.self)
        output.commit(17)
    }

    // MARK: - Waiting bodies

    /// Visits the streams whose body waits for the peer's window, and returns those that have not
    /// moved for `limit` visits; `isAnyWaiting` tells whether further visits are needed.
    ///
    /// A body that waits only for room in ``output`` is the socket's business.
    package mutating func sweepStalled(limit: UInt8) -> (stalled: [HTTP2Stream], isAnyWaiting: Bool)
    {
        var stalled: [HTTP2Stream] = []
        var isAnyWaiting = false
        for stream in streams.all where stream.pendingCount > 0 {
            let record = unsafe stream.record
            isAnyWaiting = true
            guard unsafe sendWindow <= 0 || record.pointee.sendWindow <= 0 else { continue }
            if unsafe record.pointee.stalledSweeps >= limit {
                stalled.append(stream)
            } else {
                unsafe record.pointee.stalledSweeps += 1
            }
        }
        return (stalled, isAnyWaiting)
    }

    /// Frames waiting bytes of the next stream in turn; nil when none can go.
    mutating func pump() -> HTTP2Event? {
        while let record = unsafe readyHead {
            let stream = unsafe HTTP2Stream(record)
            let length = unsafe room(for: record.pointee.pending.count, on: stream)
            guard length > 0 else {
                // Out of stream window: it comes back with an update. Else everybody waits.
                guard unsafe record.pointee.sendWindow <= 0 else { return nil }
                unqueue(stream)
                continue
            }
            unqueue(stream)
            let isLast = unsafe length == record.pointee.pending.count
            let ends = unsafe isLast && record.pointee.endsAfterPending
            let bytes = unsafe UnsafeRawBufferPointer(
                rebasing: record.pointee.pending.bytes[..<length]
            )
            unsafe writeData(bytes, stream: stream, endStream: ends)
            unsafe record.pointee.pending.consume(length, pool: arena.buffers)
            if ends {
                closeLocal(stream)
            } else if isLast, let trailers = unsafe record.pointee.trailers {
                unsafe record.pointee.trailers = nil
                writeHead(trailers, stream: stream, endStream: true)
            } else if !isLast {
                queue(stream)
            }
            return .drained(stream, length)
        }
        return nil
    }

    /// How many bytes of `count` may be framed now.
    func room(for count: Int, on stream: HTTP2Stream) -> Int {
        guard output.count < HTTP2Session.outputHighWater else { return 0 }
        return unsafe max(
            0,
            min(count, remote.maxFrameSize, sendWindow, stream.record.pointee.sendWindow)
        )
    }

    /// Puts a stream at the end of the queue of those ready to send.
    mutating func queue(_ stream: HTTP2Stream) {
        let record = unsafe stream.record
        guard unsafe !record.pointee.isQueued, unsafe !record.pointee.pending.isEmpty else {
            return
        }
        unsafe record.pointee.isQueued = true
        unsafe record.pointee.next = nil
        unsafe record.pointee.previous = readyTail
        if let tail = unsafe readyTail {
            unsafe tail.pointee.next = record
        } else {
            unsafe readyHead = record
        }
        unsafe readyTail = record
    }

    /// Takes a stream out of the queue.
    mutating func unqueue(_ stream: HTTP2Stream) {
        let record = unsafe stream.record
        let (previous, next) = unsafe (record.pointee.previous, record.pointee.next)
        if let previous = unsafe previous {
            unsafe previous.pointee.next = next
        } else {
            unsafe readyHead = next
        }
        if let next = unsafe next {
            unsafe next.pointee.previous = previous
        } else {
            unsafe readyTail = previous
        }
        unsafe record.pointee.isQueued = false
        unsafe record.pointee.next = nil
        unsafe record.pointee.previous = nil
    }

    /// Gives the peer connection window once half of it has been passed on.
    mutating func creditConnection(_ count: Int) {
        uncredited += count
        guard uncredited * 2 >= receiveTarget else { return }
        writeWindowUpdate(0, uncredited)
        receiveWindow += uncredited
        uncredited = 0
    }

    // MARK: - Frames

    private mutating func writeData(
        _ bytes: UnsafeRawBufferPointer,
        stream: HTTP2Stream,
        endStream: Bool
    ) {
        let length = bytes.count
        let place = unsafe output.reserve(9 + length)
        unsafe HTTP2FrameHeader(
            length: length,
            type: HTTP2FrameType.data,
            flags: endStream ? HTTP2Flag.endStream : 0,
            streamID: stream.id
        ).write(to: place)
        if let from = bytes.baseAddress {
            unsafe UnsafeMutableRawPointer(place + 9).copyMemory(from: from, byteCount: length)
        }
        output.commit(9 + length)
        guardian.countMoved(length)
        sendWindow -= length
        unsafe stream.record.pointee.sendWindow -= length
        unsafe stream.record.pointee.stalledSweeps = 0
    }

    private mutating func writeHead(
        _ head: FieldBlock,
        stream: HTTP2Stream,
        endStream: Bool,
        keepsHead: Bool = false
    ) {
        unsafe precondition(!stream.record.pointee.isLocalClosed, "this side has ended already")
        let before = output.count
        unsafe _ = output.reserve(9)
        output.commit(9)
        let length = coder.encoder.encode(head, into: &output)
        guardian.countMoved(length)
        if !keepsHead { blocks.give(head) }
        let flags = endStream ? HTTP2Flag.endStream : 0
        if length <= remote.maxFrameSize {
            let header = HTTP2FrameHeader(
                length: length,
                type: HTTP2FrameType.headers,
                flags: flags | HTTP2Flag.endHeaders,
                streamID: stream.id
            )
            unsafe header.write(to: output.place(at: before))
        } else {
            splitHead(from: before, length: length, streamID: stream.id, flags: flags)
        }
        if endStream { closeLocal(stream) }
    }

    /// Cuts an encoded block that is too long for one frame into HEADERS and CONTINUATION.
    private mutating func splitHead(from start: Int, length: Int, streamID: UInt32, flags: UInt8) {
        let encoded = unsafe [UInt8](output.bytes[(start + 9)...])
        output.truncate(9 + length)
        var offset = 0
        while offset < length {
            let size = min(remote.maxFrameSize, length - offset)
            let isLast = offset + size == length
            let place = unsafe output.reserve(9)
            unsafe HTTP2FrameHeader(
                length: size,
                type: offset == 0 ? HTTP2FrameType.headers : HTTP2FrameType.continuation,
                flags: (offset == 0 ? flags : 0) | (isLast ? HTTP2Flag.endHeaders : 0),
                streamID: streamID
            ).write(to: place)
            output.commit(9)
            output.append(Array(encoded[offset..<(offset + size)]))
            offset += size
        }
    }

    mutating func writeReset(_ id: UInt32, _ code: HTTP2ErrorCode) {
        writeWord(HTTP2FrameType.resetStream, id, code.rawValue)
    }

    mutating func writeWindowUpdate(_ id: UInt32, _ increment: Int) {
        writeWord(HTTP2FrameType.windowUpdate, id, UInt32(truncatingIfNeeded: increment))
    }

    private mutating func writeWord(_ type: UInt8, _ id: UInt32, _ word: UInt32) {
        let place = unsafe output.reserve(13)
        unsafe HTTP2FrameHeader(length: 4, type: type, flags: 0, streamID: id).write(to: place)
        unsafe UnsafeMutableRawPointer(place + 9).storeBytes(of: word.bigEndian, as: UInt32.self)
        output.commit(13)
    }

    mutating func writeGoAway(last: UInt32, _ code: HTTP2ErrorCode) {
        // A later GOAWAY must not take back what an earlier one refused (RFC 9113 §6.8).
        let last = min(last, goAwaySentLast ?? .max)
        goAwaySentLast = last
        let place = unsafe output.reserve(17)
        unsafe HTTP2FrameHeader(length: 8, type: HTTP2FrameType.goAway, flags: 0, streamID: 0)
            .write(to: place)
        let raw = UnsafeMutableRawPointer(place)
        unsafe raw.storeBytes(of: last.bigEndian, toByteOffset: 9, as: UInt32.self)
        unsafe raw.storeBytes(of: code.rawValue.bigEndian, toByteOffset: 13, as: UInt32.self)
        output.commit(17)
    }

    mutating func writeSettings() {
        var entries: [(UInt16, Int)] = [
            (4, local.initialWindowSize), (5, local.maxFrameSize), (6, local.maxHeaderListSize),
        ]
        if local.headerTableSize != 4096 { entries.append((1, local.headerTableSize)) }
        entries.append(role == .server ? (3, local.maxConcurrentStreams) : (2, 0))
        let place = unsafe output.reserve(9 + 6 * entries.count)
        unsafe HTTP2FrameHeader(
            length: 6 * entries.count,
            type: HTTP2FrameType.settings,
            flags: 0,
            streamID: 0
        ).write(to: place)
        let raw = UnsafeMutableRawPointer(place)
        for (index, entry) in entries.enumerated() {
            let offset = 9 + 6 * index
            unsafe raw.storeBytes(of: entry.0.bigEndian, toByteOffset: offset, as: UInt16.self)
            unsafe raw.storeBytes(
                of: UInt32(clamping: entry.1).bigEndian,
                toByteOffset: offset + 2,
                as: UInt32.self
            )
        }
        output.commit(9 + 6 * entries.count)
    }

    mutating func writeAcknowledgement(_ type: UInt8, payload: UnsafeRawBufferPointer) {
        let place = unsafe output.reserve(9 + payload.count)
        unsafe HTTP2FrameHeader(
            length: payload.count,
            type: type,
            flags: HTTP2Flag.acknowledge,
            streamID: 0
        ).write(to: place)
        output.commit(9)
        unsafe output.append(payload)
    }
}
