import SluiceCore

// Heads whose fields a connection has sent before. They go out by their names, with their volatile values
// as they are now: nothing is put together, compared or looked up field by field.
//
// Whole answers, as a model's from the cache mostly are, are written in one go: head, body and trailers one
// by one cost four times as many instructions.
extension HTTP2Session {
    /// Opens a stream with a request head that went before (client); nil when it has to go the long way,
    /// and then nothing was sent.
    package mutating func openRepeated(
        _ head: RepeatedHead,
        endStream: Bool,
        context: UnsafeMutableRawPointer?
    ) -> HTTP2Stream? {
        precondition(role == .client, "only a client opens streams")
        guard canOpenStream, let known = known(head) else { return nil }
        lastStreamID = lastStreamID == 0 ? 1 : lastStreamID + 2
        let stream = open(lastStreamID)
        unsafe stream.record.pointee.context = context
        if let method = unsafe head.block.first(.method) {
            unsafe stream.record.pointee.isHead = ASCII.equal(method, "HEAD")
        }
        write(head, known, endStream: endStream, on: stream)
        return stream
    }

    /// Sends a response head that went before (server); false when it has to go the long way, and then
    /// nothing was sent.
    package mutating func sendRepeated(
        _ head: RepeatedHead,
        endStream: Bool,
        on stream: HTTP2Stream
    ) -> Bool {
        guard !isLost(stream), let known = known(head) else { return false }
        unsafe precondition(!stream.record.pointee.isLocalClosed, "this side has ended already")
        write(head, known, endStream: endStream, on: stream)
        return true
    }

    /// What this connection knows by the head's name, if it fits a frame.
    @inline(__always)
    private func known(_ head: RepeatedHead) -> KnownBlock? {
        guard let known = coder.encoder.known(head.name),
            known.bound(head.valueBytes) <= remote.maxFrameSize
        else { return nil }
        return known
    }

    @inline(__always)
    private mutating func write(
        _ head: RepeatedHead,
        _ known: KnownBlock,
        endStream: Bool,
        on stream: HTTP2Stream
    ) {
        let size = HTTP2FrameHeader.size
        let start = unsafe output.reserve(size + known.bound(head.valueBytes))
        var place = unsafe start + size
        unsafe coder.encoder.write(known, head, to: &place)
        let length = unsafe place - start - size
        unsafe HTTP2FrameHeader(
            length: length,
            type: HTTP2FrameType.headers,
            flags: HTTP2Flag.endHeaders | (endStream ? HTTP2Flag.endStream : 0),
            streamID: stream.id
        ).write(to: start)
        output.commit(size + length)
        guardian.countMoved(length)
        if endStream { closeLocal(stream) }
    }

    /// Sends a whole answer and ends the stream; false when it has to be sent the long way, and then
    /// nothing was sent.
    ///
    /// It is sent when this connection knows both blocks, and the body needn't wait for anything.
    package mutating func sendRepeated(_ answer: RepeatedAnswer, on stream: HTTP2Stream) -> Bool {
        guard !isLost(stream), unsafe stream.record.pointee.pending.isEmpty,
            let head = coder.encoder.known(answer.head),
            let trailers = coder.encoder.known(answer.trailers),
            head.valueCount == answer.values.count, trailers.valueCount == 0
        else { return false }
        let (opening, content) = unsafe answer.body
        let bodyCount = answer.bodyCount
        let (headMaximum, trailersMaximum) = (
            head.bound(answer.values.byteCount), trailers.bound(0)
        )
        guard max(headMaximum, trailersMaximum) <= remote.maxFrameSize,
            let from = content.baseAddress, unsafe !content.isEmpty,
            room(for: bodyCount, on: stream) == bodyCount
        else { return false }
        unsafe precondition(!stream.record.pointee.isLocalClosed, "this side has ended already")
        let size = HTTP2FrameHeader.size
        let start = unsafe output.reserve(3 * size + headMaximum + bodyCount + trailersMaximum)
        let (id, flags) = (stream.id, HTTP2Flag.endHeaders)

        var place = unsafe start + size
        unsafe coder.encoder.write(head, answer.values, to: &place)
        let headCount = unsafe place - start - size
        unsafe HTTP2FrameHeader(
            length: headCount,
            type: HTTP2FrameType.headers,
            flags: flags,
            streamID: id
        ).write(to: start)

        unsafe HTTP2FrameHeader(
            length: bodyCount,
            type: HTTP2FrameType.data,
            flags: 0,
            streamID: id
        ).write(to: place)
        unsafe place += size
        if let from = opening.baseAddress {
            unsafe ShortBytes.copy(from, to: place, count: opening.count)
            unsafe place += opening.count
        }
        unsafe ShortBytes.copy(from, to: place, count: content.count)
        unsafe place += content.count

        let end = unsafe place
        unsafe place += size
        unsafe coder.encoder.write(trailers, .none, to: &place)
        unsafe HTTP2FrameHeader(
            length: place - end - size,
            type: HTTP2FrameType.headers,
            flags: flags | HTTP2Flag.endStream,
            streamID: id
        ).write(to: end)

        unsafe output.commit(place - start)
        // One by one: each frame is work that earns its peer some patience.
        guardian.countMoved(headCount)
        guardian.countMoved(bodyCount)
        unsafe guardian.countMoved(place - end - size)
        sendWindow -= bodyCount
        unsafe stream.record.pointee.sendWindow -= bodyCount
        closeLocal(stream)
        return true
    }
}
