import SluiceCache
import SluiceCore

/// What a request has to do with the cache; part of its ``Flow``.
@safe
struct CacheState: BitwiseCopyable {
    enum Role: UInt8 {
        /// The model isn't cached, or this request isn't a prediction.
        case none
        /// It could have been looked up, but mustn't or can't be.
        case bypass
        /// It waits for somebody else's call.
        case follows
        /// Its call's answer will be kept, and others may wait for it.
        case leads
        /// Its call's answer will be kept; the table had no room.
        case alone
    }

    var role = Role.none
    /// Whether the caller forbade us to look (`cache-control: no-cache`).
    var mustAsk = false
    var key: CacheKey?
    var ticket: FlightTicket?
    /// What this worker knows it by while it waits.
    var token: UInt64 = 0
    /// The cache's state when the call began; a purge since then keeps its answer out.
    var stamp: CacheStamp?
    /// An answer past its time, should the call fail; one reference is ours.
    var spare: Unmanaged<CacheEntry>?
    /// What the caller wants of an answer; one reference is ours.
    var question: Unmanaged<Question>?
    /// The answer's body as it comes by, until it is whole or too large.
    var captured = PooledBytes()
    var isCapturing = false
    /// `inference-header-content-length` of the answer, or -1.
    var headerLength = -1
}
