import SluiceCore
import SluiceHTTP

@testable import SluiceIngress

/// A caller's end of one exchange, which notes what the gateway does with it.
final class RecordingHost: ExchangeHost {
    /// The status of the answer's head; 0 while there is none.
    private(set) var status = 0
    private(set) var fields: [String: String] = [:]
    private(set) var body: [UInt8] = []
    private(set) var trailers: [String: String] = [:]
    /// Whether the answer has ended, properly.
    private(set) var isEnded = false
    /// How often it was ended; a second time would be another exchange's.
    private(set) var endCount = 0
    /// The code with which it was broken off.
    private(set) var abortCode: HTTP2ErrorCode?
    /// How often the caller was told to continue.
    private(set) var continueCount = 0
    /// Bytes of the request's body that have moved on.
    private(set) var consumedCount = 0
    /// Whether what has come of the body was let go as a whole.
    private(set) var isBodyReleased = false

    /// Whether the caller waits to be told to continue.
    var waits = false
    /// Whether the body is known to have come whole.
    var isWhole = true

    /// The answer's body as text.
    var text: String { String(decoding: body, as: UTF8.self) }

    override var expectsContinue: Bool { waits }
    override var bodyTimeout: Int64 { Duration.seconds(30).nanoseconds }
    override var maxHeaderBytes: Int { 64 << 10 }

    override func hasWholeBody(of stream: HTTP2Stream?) -> Bool { isWhole }

    override func sendHead(_ head: FieldBlock, endStream: Bool, on stream: HTTP2Stream?) {
        status = head.status
        fields = RecordingHost.fields(of: head)
        arena.blocks.give(head)
        if endStream { end() }
    }

    override func send(
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool,
        on stream: HTTP2Stream?
    ) -> Int {
        unsafe body.append(contentsOf: bytes)
        if endStream { end() }
        return bytes.count
    }

    override func sendTrailers(_ trailers: FieldBlock, on stream: HTTP2Stream?) {
        self.trailers = RecordingHost.fields(of: trailers)
        arena.blocks.give(trailers)
        end()
    }

    override func consumed(_ count: Int, by stream: HTTP2Stream?) { consumedCount += count }
    override func releaseBody(of stream: HTTP2Stream?) { isBodyReleased = true }
    override func sendContinue(on stream: HTTP2Stream?) {
        waits = false
        continueCount += 1
    }
    override func abort(_ stream: HTTP2Stream?, _ code: HTTP2ErrorCode) {
        abortCode = code
        unsafe context = nil
    }

    private func end() {
        isEnded = true
        endCount += 1
    }

    private static func fields(of block: FieldBlock) -> [String: String] {
        var fields: [String: String] = [:]
        for index in 0..<block.count where !block[index].isRemoved {
            let name = unsafe String(decoding: block.name(of: block[index]), as: UTF8.self)
            fields[name] = unsafe String(decoding: block.value(of: block[index]), as: UTF8.self)
        }
        return fields
    }
}
