import SluiceCore

// Answers whose fields a connection has sent before: a model's answers from the cache, mostly. Three
// frames are written in one go; head, body and trailers one by one cost four times as many instructions.
extension HTTP2Session {
    /// Sends a whole answer and ends the stream; false when it has to be sent the long way, and then
    /// nothing was sent.
    ///
    /// It is sent when this connection knows both blocks, and the body needn't wait for anything.
    package mutating func sendRepeated(
        _ answer: RepeatedAnswer,
        _ body: UnsafeRawBufferPointer,
        on stream: HTTP2Stream
    ) -> Bool {
        guard !isLost(stream), unsafe stream.record.pointee.pending.isEmpty,
            let head = coder.encoder.known(answer.head),
            let trailers = coder.encoder.known(answer.trailers),
            head.valueCount == answer.values.count, trailers.valueCount == 0
        else { return false }
        let headBound = head.bound(answer.values.byteCount)
        guard max(headBound, trailers.bound(0)) <= remote.maxFrameSize,
            let from = body.baseAddress, unsafe !body.isEmpty,
            room(for: body.count, on: stream) == body.count
        else { return false }
        unsafe precondition(!stream.record.pointee.isLocalClosed, "this side has ended already")
        let headerLength = HTTP2FrameHeader.size
        let start = unsafe output.reserve(
            3 * headerLength + headBound + body.count + trailers.bound(0)
        )
        var place = unsafe start + headerLength
        unsafe coder.encoder.write(head, answer.values, to: &place)
        unsafe HTTP2FrameHeader(
            length: place - start - headerLength,
            type: HTTP2FrameType.headers,
            flags: HTTP2Flag.endHeaders,
            streamID: stream.id
        ).write(to: start)
        unsafe HTTP2FrameHeader(
            length: body.count,
            type: HTTP2FrameType.data,
            flags: 0,
            streamID: stream.id
        ).write(to: place)
        unsafe ShortBytes.copy(from, to: place + headerLength, count: body.count)
        let end = unsafe place + headerLength + body.count
        unsafe place = end + headerLength
        unsafe coder.encoder.write(trailers, .none, to: &place)
        unsafe HTTP2FrameHeader(
            length: place - end - headerLength,
            type: HTTP2FrameType.headers,
            flags: HTTP2Flag.endHeaders | HTTP2Flag.endStream,
            streamID: stream.id
        ).write(to: end)
        let length = unsafe place - start
        output.commit(length)
        guardian.countMoved(length - 3 * headerLength)
        sendWindow -= body.count
        unsafe stream.record.pointee.sendWindow -= body.count
        closeLocal(stream)
        return true
    }
}
