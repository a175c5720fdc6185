import SluiceCache
import SluiceCompression
import SluiceCore

/// What a request has to do with the cache.
enum CacheRole: UInt8 {
    /// The model isn't cached, or this request isn't a prediction.
    case none
    /// It could have been looked up, but mustn't or can't be.
    case bypass
    /// It waits for another request's call.
    case follows
    /// Its call's answer will be kept, and others may wait for it.
    case leads
    /// Its call's answer will be kept; the table had no room.
    case uncoalesced
}

/// What came of looking a request up, and what is kept of its answer; begun in its ``RequestSlot``.
@safe
struct LookupState: BitwiseCopyable {
    var key: CacheKey?
    var ticket: CoalescingTicket?
    /// What this worker knows it by while it waits.
    var token: UInt64 = 0
    /// The cache's state when the call began; a purge since then keeps its answer out.
    var stamp: CacheStamp?
    /// An answer past its time, should the call fail; one reference is ours.
    var staleEntry: Unmanaged<CacheEntry.Storage>?
    /// What the caller wants of an answer; one reference is ours.
    ///
    /// Made when it is needed: until the request is sent on, it can be read again.
    var cacheable: Unmanaged<CacheableRequest>?
    /// Where in the gathered request the `id` of a gRPC caller is that wants its answer raw; all that
    /// such a caller's request would say.
    var rawID: Part?
    /// The answer's body as it comes by, until it is whole or too large.
    var captured = PooledBytes()
    /// What the answer itself says of being kept.
    var control = AnswerControl()
    /// `inference-header-content-length` of the answer, or -1.
    var headerLength = -1
    /// The coding of the answer's body, or that its gRPC message may have.
    var answerCoding: ContentCoding?

    /// A part of a request.
    struct Part: BitwiseCopyable {
        let start: UInt32
        let count: UInt32

        /// Its place in `whole`; the part may be empty, and lie nowhere then.
        init(_ part: UnsafeRawBufferPointer, in whole: UnsafeRawBufferPointer) {
            guard let base = whole.baseAddress, let first = part.baseAddress, part.count > 0 else {
                (start, count) = (0, 0)
                return
            }
            // A request that is gathered is far below 4 GiB.
            unsafe (start, count) = (UInt32(first - base), UInt32(part.count))
        }

        /// The part in `whole`.
        func bytes(in whole: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
            unsafe UnsafeRawBufferPointer(rebasing: whole[Int(start)..<Int(start) + Int(count)])
        }
    }
}

extension UnsafeMutablePointer<RequestRecord> {
    /// What the caller wants of an answer, if that is known.
    var cacheable: Unmanaged<CacheableRequest>? {
        unsafe existing(LookupState.self)?.pointee.cacheable
    }

    /// The `id` of a gRPC caller that wants its answer raw, in the request that is held.
    var rawID: UnsafeRawBufferPointer? {
        unsafe existing(LookupState.self)?.pointee.rawID?.bytes(in: pointee.body.buffered.bytes)
    }
}
