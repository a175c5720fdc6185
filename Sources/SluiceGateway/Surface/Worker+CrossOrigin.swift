import SluiceHTTP
import SluiceIngress

// What web pages of other origins may do (`cors`).
extension Worker {
    /// Notes whose page a REST request comes from, and answers it if it is only a preflight.
    ///
    /// A preflight of an origin that isn't allowed is answered like any `OPTIONS`: with 405.
    func answerPreflight(_ request: Request, _ preflight: FieldBlock) -> Bool {
        let exchange = unsafe request.pointee.exchange
        guard let policy = exchange.crossOrigin else { return false }
        let verdict = policy.verdict(of: preflight)
        unsafe request.pointee.origin = verdict
        guard verdict != .foreign, policy.isPreflight(preflight) else { return false }
        let head = blocks.take()
        head.append(status: 204)
        policy.appendPreflight(to: head, for: verdict)
        unsafe head.append(.requestID, request.requestID, isVolatile: true)
        unsafe request.pointee.status = 204
        unsafe exchange.context = nil
        exchange.sendHead(head, endStream: true)
        unsafe end(request)
        return true
    }

    /// Says in an answer's head which origin's pages may read it.
    func decorateOrigin(_ head: FieldBlock, _ request: Request) {
        unsafe request.pointee.exchange.crossOrigin?.decorate(head, for: request.pointee.origin)
    }
}
