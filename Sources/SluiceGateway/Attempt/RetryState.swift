import SluiceCore

/// What a request keeps to be sent once more, or to be looked at should it fail; part of its ``RequestRecord``.
@safe
struct RetryState: BitwiseCopyable {
    /// The request's body so far, as it went to the backend.
    var replay = PooledBytes()
    /// How much of it lies in the request's scratch instead, while it is small.
    var smallCount: UInt8 = 0
    /// Bytes of it that the client has been told have moved on.
    var acknowledged = 0
    /// Whether the body so far is kept: to be sent again, or to be looked at.
    var keepsBody = false
    /// Whether the head is kept as well, in ``RequestRecord/head``, so that it can be sent again.
    var isKept = false
    /// Whether what came was found to be no well-formed request; see ``RequestFault``.
    var isFaulty = false
    /// Whether the body says that it is something else than JSON, so that it can't be read.
    var isForeign = false
    /// `inference-header-content-length` of the request: -1 when there is none, -2 when it is no number.
    var headerLength = -1
    /// Whether the kept head is ours already, and only its address is to be changed.
    var isPrepared = false
    /// Whether the kept head is the one that came: what went out was told from it by its name.
    var isAsItCame = false
    /// Whether it holds a place in the revision's budget.
    var isCounted = false
    /// Whether it was sent again to the same backend, for a kept connection that was dead.
    var wasStale = false
    /// How often it was sent again, elsewhere.
    var count: UInt8 = 0
    /// How often of these the backend may have seen it (`grpc-previous-rpc-attempts`).
    var seenCount: UInt8 = 0
}
