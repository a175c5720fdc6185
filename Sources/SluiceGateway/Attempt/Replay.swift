import SluiceCore

/// What a request keeps to be sent once more, or to be looked at should it fail; begun in its ``RequestSlot``.
@safe
struct Replay: BitwiseCopyable {
    /// The request's body so far, as it went to the backend, unless it is small enough for the slot.
    var body = PooledBytes()
    /// `inference-header-content-length` of the request: -1 when there is none, -2 when it is no number.
    var headerLength = -1
}
