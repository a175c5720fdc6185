import SluiceCore

/// What a request keeps to be sent once more; part of its ``Flow``.
@safe
struct RetryState: BitwiseCopyable {
    /// The request's body so far, as it went to the backend.
    var replay = PooledBytes()
    /// How much of it lies in the flow's scratch instead, while it is small.
    var smallCount: UInt8 = 0
    /// Bytes of it that the client has been told have moved on.
    var moved = 0
    /// Whether head and body so far are kept; then the head is in ``Flow/head``.
    var isKept = false
    /// Whether the kept head is ours already, and only its address is to be changed.
    var isPrepared = false
    /// Whether it holds a place in the revision's budget.
    var isCounted = false
    /// Whether it was sent again to the same backend, for a kept connection that was dead.
    var wasStale = false
    /// How often it was sent again, elsewhere.
    var count: UInt8 = 0
    /// How often of these the backend may have seen it (`grpc-previous-rpc-attempts`).
    var seenCount: UInt8 = 0
}
