/// What a backend's status says of the backend; all who judge backends read it here.
///
/// | kind | HTTP | gRPC | for ejection | for a rollout |
/// | --- | --- | --- | --- | --- |
/// | good | 100 to 399 | OK | served | good |
/// | caller's fault | other 4xx | most refusals | served | caller's fault |
/// | unserved | 404, 408, none | NOT_FOUND, UNIMPLEMENTED and others | served | failure |
/// | overloaded | 429 | RESOURCE_EXHAUSTED | overloaded | failure |
/// | failed | other 5xx | UNKNOWN, INTERNAL, DATA_LOSS | failed | failure |
/// | unavailable | 502, 503, 504 | UNAVAILABLE | unavailable | failure |
package enum AnswerKind: BitwiseCopyable, Sendable, CaseIterable {
    /// It did what it was asked.
    case good
    /// It refused what another backend would refuse as well.
    case callersFault
    /// It lives, but didn't do what it is there for: it doesn't know its model, say.
    case unserved
    /// It said that it has too much to do.
    case overloaded
    /// It failed on this request.
    case failed
    /// It, or what stands before it, can't serve.
    case unavailable

    /// By a REST backend's status; 0 is none (RFC 9110 §15).
    @inline(__always)
    package init(http status: Int) {
        self =
            switch status {
            case 100..<400: .good
            case 404, 408, ..<100: .unserved
            case 429: .overloaded
            case 400..<500: .callersFault
            case 502, 503, 504: .unavailable
            default: .failed
            }
    }

    /// By a gRPC backend's status (gRPC, "Status codes and their use in gRPC").
    @inline(__always)
    package init(grpc code: Int) {
        self =
            switch code {
            case 0: .good
            // CANCELLED, INVALID_ARGUMENT, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION,
            // OUT_OF_RANGE, UNAUTHENTICATED.
            case 1, 3, 6, 7, 9, 11, 16: .callersFault
            case 8: .overloaded
            // UNKNOWN, INTERNAL, DATA_LOSS.
            case 2, 13, 15: .failed
            case 14: .unavailable
            // DEADLINE_EXCEEDED, NOT_FOUND, ABORTED, UNIMPLEMENTED; and 200, the head's, after
            // which no status came.
            default: .unserved
            }
    }
}
