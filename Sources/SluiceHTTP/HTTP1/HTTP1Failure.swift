/// The peer broke the rules of HTTP/1.1; the connection can't be read any further.
package struct HTTP1Failure: Error, Equatable {
    /// What the peer did.
    package enum Kind: Sendable {
        /// A request that the grammar, or the rules against smuggling, don't allow.
        case badRequest
        /// More bytes in a head or trailer section than the session accepts.
        case headTooLarge
        /// A request line longer than the session accepts.
        case uriTooLong
        /// An expectation other than `100-continue`.
        case expectationFailed
        /// A method or transfer coding that nobody here can handle.
        case notImplemented
        /// A version other than HTTP/1.0 and HTTP/1.1.
        case versionNotSupported
        /// The connection ended in the middle of a message, or before the response.
        case truncated
        /// A response that the grammar doesn't allow, or that nobody asked for.
        case badResponse
    }

    /// What the peer did.
    package let kind: Kind
    /// The status to answer with (RFC 9110 §15.5 and §15.6); 0 when a response
    /// was at fault.
    package let status: Int
    /// The sentence for logs and for the response's body.
    package let sentence: StaticString

    init(_ kind: Kind, _ sentence: StaticString) {
        self.kind = kind
        self.sentence = sentence
        status =
            switch kind {
            case .badRequest, .truncated: 400
            case .uriTooLong: 414
            case .expectationFailed: 417
            case .headTooLarge: 431
            case .notImplemented: 501
            case .versionNotSupported: 505
            case .badResponse: 0
            }
    }

    private init(response failure: HTTP1Failure) {
        switch failure.kind {
        case .headTooLarge, .truncated: kind = failure.kind
        default: kind = .badResponse
        }
        status = 0
        sentence = failure.sentence
    }

    /// The same mistake when a response made it: there is nobody to answer.
    var ofResponse: HTTP1Failure { HTTP1Failure(response: self) }

    /// A whole response that says so and announces the connection's end.
    package static func answer(status: Int, sentence: StaticString) -> [UInt8] {
        let body = "{\"error\":\"\(sentence)\"}"
        let head = """
            HTTP/1.1 \(status) \(HTTP1ReasonPhrase.of(status))\r
            content-type: application/json\r
            content-length: \(body.utf8.count)\r
            connection: close\r
            \r

            """
        return Array(head.utf8) + Array(body.utf8)
    }

    package static func == (left: HTTP1Failure, right: HTTP1Failure) -> Bool {
        guard left.kind == right.kind, left.status == right.status else { return false }
        return unsafe left.sentence.utf8Start == right.sentence.utf8Start
    }
}
