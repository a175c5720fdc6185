import CNghttp2

/// What nghttp2's callbacks wrote down.
final class NghttpRecorder {
    struct Outgoing {
        var bytes: [UInt8]
        var offset = 0
        var trailers: [HeaderField]?
        var isPaused = false
    }
    struct Invalid: Equatable {
        var type: UInt8
        var code: Int32
    }

    var messages: [Int32: ReceivedMessage] = [:]
    var outgoing: [Int32: Outgoing] = [:]
    var goAways: [NghttpPeer.GoAway] = []
    var acknowledgedPings: [[UInt8]] = []
    var pingCount = 0
    var settingsCount = 0
    var settingsAcknowledgements = 0
    var invalidFrames: [Invalid] = []
    var closed: Set<Int32> = []
    var order: [Int32] = []
    var padding = 0
    private var fields: [Int32: [HeaderField]] = [:]

    func beginHead(_ id: Int32) {
        fields[id] = []
        if messages[id] == nil {
            messages[id] = ReceivedMessage()
            order.append(id)
        }
    }

    func field(_ id: Int32, _ field: HeaderField) { fields[id, default: []].append(field) }

    func data(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
        unsafe messages[id, default: ReceivedMessage()].body += bytes
    }

    func close(_ id: Int32, _ code: UInt32) {
        closed.insert(id)
        if code != 0, messages[id]?.resetCode == nil {
            messages[id, default: ReceivedMessage()].resetCode = code
        }
    }

    func frame(_ frame: nghttp2_frame) {
        let header = unsafe frame.hd
        let id = header.stream_id
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue: finishHead(id)
        case NGHTTP2_RST_STREAM.rawValue:
            messages[id, default: ReceivedMessage()].resetCode =
                unsafe frame.rst_stream.error_code
        case NGHTTP2_SETTINGS.rawValue:
            if header.flags & 1 == 1 { settingsAcknowledgements += 1 } else { settingsCount += 1 }
        case NGHTTP2_PING.rawValue where header.flags & 1 == 1:
            let opaque = unsafe frame.ping.opaque_data
            acknowledgedPings.append([
                opaque.0, opaque.1, opaque.2, opaque.3, opaque.4, opaque.5, opaque.6, opaque.7,
            ])
        case NGHTTP2_PING.rawValue: pingCount += 1
        case NGHTTP2_GOAWAY.rawValue:
            goAways.append(
                unsafe NghttpPeer.GoAway(
                    last: UInt32(frame.goaway.last_stream_id),
                    code: frame.goaway.error_code
                )
            )
        default: break
        }
        let mayEnd =
            header.type == NGHTTP2_HEADERS.rawValue || header.type == NGHTTP2_DATA.rawValue
        if mayEnd && header.flags & 1 == 1 { messages[id]?.isComplete = true }
    }

    private func finishHead(_ id: Int32) {
        let fields = fields.removeValue(forKey: id) ?? []
        let status = fields.first { $0.name == ":status" }?.value
        if status?.hasPrefix("1") == true {
            messages[id]?.interims.append(fields)
        } else if messages[id]?.head.isEmpty == true {
            messages[id]?.head = fields
        } else {
            messages[id]?.trailers = fields
        }
    }
}

/// An nghttp2 session in memory: the other end of the line, written by somebody else.
///
/// Bytes go in by ``receive(_:)`` and come out of ``takeOutput()``; what the peer heard is in
/// ``messages``. Where nghttp2 is lenient, see the table in `HTTP2DifferentialTests`.
@safe
package final class NghttpPeer {
    /// Which side the peer plays.
    package enum Role: Sendable { case client, server }

    /// A GOAWAY the peer heard.
    package struct GoAway: Equatable, Sendable {
        /// The last stream that may have been processed.
        package var last: UInt32
        /// The code on the wire.
        package var code: UInt32

        /// A GOAWAY.
        package init(last: UInt32, code: UInt32) {
            self.last = last
            self.code = code
        }
    }

    private let session: OpaquePointer
    private let recorder = NghttpRecorder()
    /// The negative code with which nghttp2 gave the connection up, or 0.
    package private(set) var failure = 0

    /// A peer that has queued its preface and SETTINGS.
    ///
    /// `settings` are pairs of identifier and value (RFC 9113 §6.5.2). With `creditsByHand` it
    /// sends no WINDOW_UPDATE until ``consume(_:stream:)``. `padding` octets go into each HEADERS
    /// and DATA frame that has room for them.
    package init(
        _ role: Role,
        settings: [(UInt32, UInt32)] = [],
        creditsByHand: Bool = false,
        padding: Int = 0
    ) {
        recorder.padding = padding
        let callbacks = unsafe makeNghttpCallbacks()
        defer { unsafe nghttp2_session_callbacks_del(callbacks) }
        var option: OpaquePointer?
        unsafe nghttp2_option_new(&option)
        defer { unsafe nghttp2_option_del(option) }
        unsafe nghttp2_option_set_no_auto_window_update(option, creditsByHand ? 1 : 0)
        unsafe nghttp2_option_set_max_send_header_block_length(option, 1 << 20)
        // Ours takes white space off the ends of values, which real gRPC servers send.
        unsafe nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1)
        var made: OpaquePointer?
        // The recorder is owned by `self`, which outlives the session.
        let userData = unsafe Unmanaged.passUnretained(recorder).toOpaque()
        switch role {
        case .client: unsafe nghttp2_session_client_new2(&made, callbacks, userData, option)
        case .server: unsafe nghttp2_session_server_new2(&made, callbacks, userData, option)
        }
        guard let made = unsafe made else { preconditionFailure("out of memory for nghttp2") }
        unsafe session = made
        submitSettings(settings)
    }

    deinit { unsafe nghttp2_session_del(session) }

    // MARK: - What it heard

    /// Messages by stream.
    package var messages: [Int32: ReceivedMessage] { recorder.messages }
    /// Streams in the order in which their first HEADERS came.
    package var order: [Int32] { recorder.order }
    /// Streams that are over.
    package var closed: Set<Int32> { recorder.closed }
    /// GOAWAY frames heard.
    package var goAways: [GoAway] { recorder.goAways }
    /// Payloads of PINGs that came back.
    package var acknowledgedPings: [[UInt8]] { recorder.acknowledgedPings }
    /// How many PINGs came that ask for an answer.
    package var pingCount: Int { recorder.pingCount }
    /// How many of its SETTINGS were acknowledged.
    package var settingsAcknowledgements: Int { recorder.settingsAcknowledgements }
    /// nghttp2's reasons for frames it refused.
    package var invalidFrameCodes: [Int32] { recorder.invalidFrames.map(\.code) }
    /// Whether it expects anything more.
    package var isFinished: Bool {
        unsafe nghttp2_session_want_read(session) == 0
            && nghttp2_session_want_write(session) == 0
    }
    /// Bytes it may still send on a stream.
    package func sendWindow(stream: Int32) -> Int {
        unsafe Int(nghttp2_session_get_stream_remote_window_size(session, stream))
    }
    /// Bytes it may still send on the connection.
    package var sendWindow: Int { unsafe Int(nghttp2_session_get_remote_window_size(session)) }

    // MARK: - The line

    /// Hands in bytes; false once nghttp2 has given up on the connection.
    @discardableResult
    package func receive(_ bytes: [UInt8]) -> Bool {
        guard failure == 0 else { return false }
        let result = unsafe bytes.withUnsafeBufferPointer {
            unsafe nghttp2_session_mem_recv(session, $0.baseAddress, $0.count)
        }
        if result < 0 { failure = result }
        return result >= 0
    }

    /// Everything it wants to write now.
    package func takeOutput() -> [UInt8] {
        var output: [UInt8] = []
        while true {
            var fragment: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &fragment)
            guard count > 0 else {
                if count < 0 { failure = count }
                return output
            }
            unsafe output += UnsafeBufferPointer(start: fragment, count: count)
        }
    }

    // MARK: - What it says

    /// Sends a request; returns its stream, or a negative code.
    @discardableResult
    package func request(
        _ head: [HeaderField],
        body: [UInt8]? = nil,
        trailers: [HeaderField]? = nil
    ) -> Int32 {
        guard body != nil || trailers != nil else {
            return unsafe withNghttpPairs(head) { pairs, count in
                unsafe nghttp2_submit_request(session, nil, pairs, count, nil, nil)
            }
        }
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.read_callback = readNghttpBody
        let id = unsafe withNghttpPairs(head) { pairs, count in
            unsafe nghttp2_submit_request(session, nil, pairs, count, &provider, nil)
        }
        if id > 0 { recorder.outgoing[id] = .init(bytes: body ?? [], trailers: trailers) }
        return id
    }

    /// Answers a request.
    @discardableResult
    package func respond(
        _ stream: Int32,
        _ head: [HeaderField],
        body: [UInt8]? = nil,
        trailers: [HeaderField]? = nil
    ) -> Int32 {
        guard body != nil || trailers != nil else {
            return unsafe withNghttpPairs(head) { pairs, count in
                unsafe nghttp2_submit_response(session, stream, pairs, count, nil)
            }
        }
        recorder.outgoing[stream] = .init(bytes: body ?? [], trailers: trailers)
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.read_callback = readNghttpBody
        return unsafe withNghttpPairs(head) { pairs, count in
            unsafe nghttp2_submit_response(session, stream, pairs, count, &provider)
        }
    }

    /// Sends an interim response (1xx).
    package func interim(_ stream: Int32, _ head: [HeaderField]) {
        unsafe withNghttpPairs(head) { pairs, count in
            _ = unsafe nghttp2_submit_headers(session, 0, stream, nil, pairs, count, nil)
        }
    }

    /// Sends SETTINGS.
    package func submitSettings(_ settings: [(UInt32, UInt32)]) {
        let entries = settings.map {
            nghttp2_settings_entry(settings_id: Int32($0.0), value: $0.1)
        }
        _ = unsafe entries.withUnsafeBufferPointer {
            unsafe nghttp2_submit_settings(session, 0, $0.baseAddress, $0.count)
        }
    }

    /// Sends PING with eight octets.
    package func ping(_ opaque: [UInt8]) {
        precondition(opaque.count == 8, "a PING carries eight octets")
        _ = unsafe nghttp2_submit_ping(session, 0, opaque)
    }

    /// Resets a stream.
    package func reset(_ stream: Int32, code: UInt32) {
        _ = unsafe nghttp2_submit_rst_stream(session, 0, stream, code)
    }

    /// Sends GOAWAY.
    package func goAway(last: Int32, code: UInt32 = 0) {
        _ = unsafe nghttp2_submit_goaway(session, 0, last, code, nil, 0)
    }

    /// Announces the end without refusing anything yet.
    package func announceShutdown() { _ = unsafe nghttp2_submit_shutdown_notice(session) }

    /// Gives `count` bytes of window back, on a stream and on the connection.
    package func consume(_ count: Int, stream: Int32) {
        _ = unsafe nghttp2_session_consume(session, stream, count)
    }

    /// Sends a WINDOW_UPDATE; stream 0 is the connection.
    package func updateWindow(_ stream: Int32, by increment: Int32) {
        _ = unsafe nghttp2_submit_window_update(session, 0, stream, increment)
    }
}
