private import COpenSSL

/// Why TLS can't be set up, or can't go on, in words.
package struct TLSFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong and, for set-up, with which file.
    package let description: String

    init(_ sentence: String) { description = sentence }

    /// The failure OpenSSL has queued, with what was being tried; empties the queue.
    static func queued(_ attempt: String) -> TLSFailure {
        var reason = ""
        while true {
            let code = ERR_get_error()
            guard code != 0 else { break }
            // The first entry is the cause, the others are its consequences.
            if reason.isEmpty, let text = unsafe ERR_reason_error_string(code) {
                reason = unsafe String(cString: text)
            }
        }
        return TLSFailure(reason.isEmpty ? attempt : "\(attempt): \(reason)")
    }
}

/// What ALPN can settle on (RFC 7301).
package enum TLSApplicationProtocol: Sendable, CaseIterable {
    case http2, http1

    var name: String { self == .http2 ? "h2" : "http/1.1" }

    /// The names as ALPN sends them: each behind its length.
    static func wire(_ protocols: [TLSApplicationProtocol]) -> [UInt8] {
        protocols.flatMap { [UInt8($0.name.utf8.count)] + Array($0.name.utf8) }
    }
}
