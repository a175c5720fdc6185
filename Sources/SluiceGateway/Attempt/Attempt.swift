import SluiceBalancing
import SluiceCore
import SluiceEgress

/// The call of a request to one backend, and which backends calls were made to; part of its ``RequestRecord``.
@safe
struct Attempt: BitwiseCopyable {
    /// Where the request is counted in; ``Request`` says when it comes and goes, below.
    fileprivate(set) var backend: Unmanaged<WorkerBackend>?
    var call: Call?
    /// Backends already tried, a bit each for the first 64, and where the worker keeps the others; see
    /// ``TriedSets``.
    var tried: UInt64 = 0
    /// When the head was sent; zero before.
    var sent = Instant.zero
    /// When the answer's head came; zero before.
    var firstByte = Instant.zero
    var triedFurther: UInt32 = 0
    /// How many attempts there were, with this one.
    var count: UInt16 = 0
    private var answerCode: UInt16 = 0
    /// What the attempt says of the backend so far.
    var outcome = BackendOutcome.unknown
    /// What is spoken with the backend where that isn't what the caller speaks; see
    /// ``RequestRecord/isTranslated``.
    var translatedProtocol = RequestProtocol.other

    /// The status that the backend answered with, 0 while it did with none.
    ///
    /// A gRPC status may be any number, and what is too large for one is kept as the largest.
    var code: Int {
        get { Int(answerCode) }
        set { answerCode = UInt16(clamping: newValue) }
    }
}

// Where a request is, and with how much: what a policy goes by beside the number of requests is counted here.
extension UnsafeMutablePointer<RequestRecord> {
    /// The request is at `backend` from here on, where it has been counted in.
    @inline(__always)
    func arrive(at backend: Unmanaged<WorkerBackend>) {
        unsafe pointee.attempt.backend = unsafe backend
    }

    /// The request is at no backend from here on; returns the one at which it was.
    @inline(__always)
    func depart() -> Unmanaged<WorkerBackend>? {
        let backend = unsafe pointee.attempt.backend
        unsafe pointee.attempt.backend = nil
        return unsafe backend
    }

    /// So many bytes more of its body have come.
    @inline(__always)
    func received(_ count: Int) { unsafe pointee.requestBytes += count }
}
