/// Which of HTTP/2's rules a peer broke on a stream, so that we reset it (RFC 9113 §5.4.2).
package enum HTTP2StreamFault: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// None: the stream wasn't reset by us for its peer's mistake.
    case none
    case priority, windowIncrement, windowOverflow
    case dataOutOfPlace, dataBeyondWindow, bodyLength
    case head, interim, trailers

    /// What the peer sent, to be read behind "it sent".
    package var sentence: StaticString {
        switch self {
        case .none: "nothing wrong"
        case .priority: "a PRIORITY frame against the rules"
        case .windowIncrement: "a WINDOW_UPDATE of nothing"
        case .windowOverflow: "a WINDOW_UPDATE beyond the largest window"
        case .dataOutOfPlace: "DATA before its head or after its end"
        case .dataBeyondWindow: "more DATA than its window takes"
        case .bodyLength: "another length of body than content-length says"
        case .head: "a malformed head"
        case .interim: "interim responses against the rules"
        case .trailers: "malformed trailers"
        }
    }
}
