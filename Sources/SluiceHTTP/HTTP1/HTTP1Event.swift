/// What an ``HTTP1Session`` has to tell its owner; fields and bytes as in ``HTTP2Event``.
@safe
package enum HTTP1Event {
    /// A request (server) or final response (client) began; the block is the receiver's to return.
    case head(FieldBlock, endStream: Bool)
    /// An interim response (1xx); the block is the receiver's to return.
    case interim(FieldBlock)
    /// Body bytes, borrowed until the next call.
    case data(UnsafeRawBufferPointer, endStream: Bool)
    /// Trailers ended the peer's message; the block is the receiver's to return.
    case trailers(FieldBlock)
    /// That many bytes handed to ``HTTP1Session/send(_:endStream:)`` have left the queue.
    case drained(Int)
}

/// A peer's mistake; after it nothing on the connection can be trusted.
package struct HTTP1Failure: Error, Sendable {
    /// The status to answer with; 0 where there is nobody to answer.
    package let status: Int
    /// What the peer did.
    package let sentence: StaticString

    init(_ status: Int, _ sentence: StaticString) {
        self.status = status
        self.sentence = sentence
    }

    /// A whole response that says so and announces the connection's end.
    package static func answer(status: Int, sentence: StaticString) -> [UInt8] {
        let body = "{\"error\":\"\(sentence)\"}"
        let head = """
            HTTP/1.1 \(status) \(StatusLine.reason(status))\r
            content-type: application/json\r
            content-length: \(body.utf8.count)\r
            connection: close\r
            \r

            """
        return Array(head.utf8) + Array(body.utf8)
    }
}

/// Reason phrases (RFC 9110 §15); nobody should read them, some people do.
enum StatusLine {
    static func reason(_ status: Int) -> StaticString {
        switch status {
        case 100: "Continue"
        case 102: "Processing"
        case 103: "Early Hints"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 206: "Partial Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 499: "Client Closed Request"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Status"
        }
    }
}
