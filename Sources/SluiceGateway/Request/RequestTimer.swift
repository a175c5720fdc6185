/// What a request's timer is set for.
enum RequestTimer: UInt8 {
    /// The end of the request's time.
    case deadline
    /// The end of the time in which a single gRPC call must have sent its message.
    case arrival
    /// The end of one attempt's time.
    case tryEnd
    /// The end of the pause before the next attempt.
    case pause
    /// The end of the wait for a place at a backend.
    case place
    /// When a request that waits for an equal one looks again.
    case refetch
    /// The end of a refusal's wait for the rest of its request.
    case linger
}
