/// Why a stream or connection ended (RFC 9113 §7).
package enum HTTP2ErrorCode: UInt32, BitwiseCopyable, Sendable, CustomStringConvertible {
    case noError = 0
    case protocolError = 1
    case internalError = 2
    case flowControlError = 3
    case settingsTimeout = 4
    case streamClosed = 5
    case frameSizeError = 6
    case refusedStream = 7
    case cancel = 8
    case compressionError = 9
    case connectError = 10
    case enhanceYourCalm = 11
    case inadequateSecurity = 12
    case http11Required = 13

    /// Its name in RFC 9113 §7.
    package var description: String {
        switch self {
        case .noError: "NO_ERROR"
        case .protocolError: "PROTOCOL_ERROR"
        case .internalError: "INTERNAL_ERROR"
        case .flowControlError: "FLOW_CONTROL_ERROR"
        case .settingsTimeout: "SETTINGS_TIMEOUT"
        case .streamClosed: "STREAM_CLOSED"
        case .frameSizeError: "FRAME_SIZE_ERROR"
        case .refusedStream: "REFUSED_STREAM"
        case .cancel: "CANCEL"
        case .compressionError: "COMPRESSION_ERROR"
        case .connectError: "CONNECT_ERROR"
        case .enhanceYourCalm: "ENHANCE_YOUR_CALM"
        case .inadequateSecurity: "INADEQUATE_SECURITY"
        case .http11Required: "HTTP_1_1_REQUIRED"
        }
    }

    /// The code on the wire; an unknown one counts as ``internalError`` (RFC 9113 §7).
    package init(wire: UInt32) { self = HTTP2ErrorCode(rawValue: wire) ?? .internalError }
}

/// A peer's mistake, or a limit, that ends the whole connection.
package struct HTTP2Failure: Error, Sendable {
    /// The code that goes out in GOAWAY.
    package let code: HTTP2ErrorCode
    /// What the peer did, for the log and GOAWAY's debug data.
    package let sentence: StaticString
    /// Which attack it looks like; nil for a plain mistake.
    package let abuse: AbuseReason?

    init(_ code: HTTP2ErrorCode, _ sentence: StaticString) {
        self.code = code
        self.sentence = sentence
        abuse = nil
    }

    /// A peer that costs more than it is worth (RFC 9113 §10.5).
    init(_ abuse: AbuseReason, _ sentence: StaticString) {
        code = .enhanceYourCalm
        self.sentence = sentence
        self.abuse = abuse
    }
}
