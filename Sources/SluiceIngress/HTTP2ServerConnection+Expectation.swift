import SluiceCore
import SluiceHTTP

// `Expect: 100-continue` over HTTP/2 (RFC 9110 §10.1.1): as over HTTP/1.1, but for each stream.
extension HTTP2ServerConnection {
    /// Notes what a head expects; false when that is unknown here, and refused.
    func acceptsExpectation(
        _ stream: HTTP2Stream,
        _ head: FieldBlock,
        endStream: Bool
    ) -> Bool {
        for index in 0..<head.count where head[index].name == .expect {
            guard
                unsafe ASCII.equal(
                    head.value(of: head[index]),
                    ignoringCaseOf: "100-continue"
                )
            else {
                refuseExpectation(stream)
                return false
            }
        }
        stream.expectsContinue = !endStream
        return true
    }

    private func refuseExpectation(_ stream: HTTP2Stream) {
        let sentence: StaticString = "the only known expectation is 100-continue"
        handler.requestUnreadable(self, status: 417, sentence: sentence)
        let body = "{\"error\":\"\(sentence)\"}"
        let head = arena.blocks.take()
        head.append(status: 417)
        head.append(.contentType, "application/json")
        head.append(.contentLength, decimal: body.utf8.count)
        sendHead(head, endStream: false, on: stream)
        unsafe Array(body.utf8).withUnsafeBytes {
            unsafe _ = send($0, endStream: true, on: stream)
        }
    }
}
