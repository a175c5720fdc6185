// swift-format-ignore-file: NeverForceUnwrap

// What nghttp2 calls back. Each function only records. The manual promises that `user_data` is the
// pointer given to `nghttp2_session_client_new2` (or `server_new2`), and that frames, names and
// values are valid during the call; those are the force unwraps here.
import CNghttp2

private func recorder(_ userData: UnsafeMutableRawPointer?) -> NghttpRecorder {
    unsafe Unmanaged<NghttpRecorder>.fromOpaque(userData!).takeUnretainedValue()
}

private func text(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> String {
    unsafe String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
}

/// The callbacks of an ``NghttpPeer``; the caller deletes them.
func makeNghttpCallbacks() -> OpaquePointer {
    var made: OpaquePointer?
    unsafe nghttp2_session_callbacks_new(&made)
    // Only memory exhaustion makes it fail.
    let callbacks = unsafe made!
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) {
        _,
        frame,
        userData in
        let frame = unsafe frame!.pointee
        unsafe recorder(userData).beginHead(frame.hd.stream_id)
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
        _,
        frame,
        name,
        nameLength,
        value,
        valueLength,
        _,
        userData in
        unsafe recorder(userData).field(
            frame!.pointee.hd.stream_id,
            HeaderField(text(name, nameLength), text(value, valueLength))
        )
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
        _,
        _,
        streamID,
        data,
        length,
        userData in
        unsafe recorder(userData).data(
            streamID,
            UnsafeRawBufferPointer(start: data, count: length)
        )
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, userData in
        unsafe recorder(userData).frame(frame!.pointee)
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
        _,
        streamID,
        code,
        userData in
        unsafe recorder(userData).close(streamID, code)
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) {
        _,
        frame,
        code,
        userData in
        unsafe recorder(userData).invalidFrames.append(
            NghttpRecorder.Invalid(type: frame!.pointee.hd.type, code: code)
        )
        return 0
    }
    unsafe nghttp2_session_callbacks_set_select_padding_callback(callbacks) {
        _,
        frame,
        maximum,
        userData in
        unsafe Int(frame!.pointee.hd.length) + recorder(userData).padding > maximum
            ? maximum : Int(frame!.pointee.hd.length) + recorder(userData).padding
    }
    return unsafe callbacks
}

/// Hands nghttp2 the next piece of a stream's body, and its trailers after the last.
let readNghttpBody: nghttp2_data_source_read_callback = {
    session,
    streamID,
    place,
    capacity,
    flags,
    source,
    userData in
    let recorder = unsafe recorder(userData)
    guard var body = recorder.outgoing[streamID] else { return 0 }
    if body.isPaused { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
    let count = min(capacity, body.bytes.count - body.offset)
    for index in 0..<count { unsafe place![index] = body.bytes[body.offset + index] }
    body.offset += count
    if body.offset == body.bytes.count {
        unsafe flags!.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if let trailers = body.trailers {
            unsafe flags!.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            unsafe withNghttpPairs(trailers) { pairs, count in
                _ = unsafe nghttp2_submit_trailer(session, streamID, pairs, count)
            }
        }
    }
    recorder.outgoing[streamID] = body
    return count
}

/// Lends `fields` to `body` in nghttp2's form.
func withNghttpPairs<Result>(
    _ fields: [HeaderField],
    _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result
) -> Result {
    // One piece of memory holds all names and values; it lives until `body` returns.
    var bytes: [UInt8] = []
    for field in fields {
        bytes += field.name.utf8
        bytes += field.value.utf8
    }
    bytes.append(0)
    return unsafe bytes.withUnsafeMutableBufferPointer { bytes in
        var place = bytes.baseAddress!
        let pairs = unsafe fields.map { field in
            let name = unsafe place
            let value = unsafe name + field.name.utf8.count
            unsafe place = value + field.value.utf8.count
            return unsafe nghttp2_nv(
                name: name,
                value: value,
                namelen: field.name.utf8.count,
                valuelen: field.value.utf8.count,
                flags: 0
            )
        }
        return unsafe pairs.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) }
    }
}
