import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIngress

/// A request under way: the address of its ``RequestRecord``, with which its ``RequestSlot`` begins.
typealias Request = UnsafeMutablePointer<RequestRecord>

extension UnsafeMutablePointer<RequestRecord> {
    /// What is spoken with the backend.
    var backendProtocol: RequestProtocol {
        unsafe pointee.isTranslated ? pointee.attempt.translatedProtocol : pointee.callerProtocol
    }

    // MARK: - Parts begun on first use

    /// Follows the body of a gRPC request.
    var scanner: UnsafeMutablePointer<RoutingScanner> { unsafe begun() }
    var pathParts: UnsafeMutablePointer<PathParts> { unsafe begun() }
    var lookup: UnsafeMutablePointer<LookupState> { unsafe begun() }
    var replay: UnsafeMutablePointer<Replay> { unsafe begun() }
    var clock: UnsafeMutablePointer<AttemptClock> { unsafe begun() }
    var queueTicket: UnsafeMutablePointer<QueueTicket> { unsafe begun() }

    /// The part if it has been begun; what would look at it for nothing asks for it by this.
    @inline(__always)
    func existing<Part: RequestPart>(_ type: Part.Type) -> UnsafeMutablePointer<Part>? {
        unsafe pointee.flags.contains(Part.flag) ? place(Part.offset) : nil
    }

    /// Begins a part with this value.
    @inline(__always)
    func begin<Part: RequestPart>(with part: Part) {
        unsafe pointee.flags.insert(Part.flag)
        unsafe place(Part.offset).initialize(to: part)
    }

    /// What of the attempt's time its caller took is counted anew.
    func resetClock() {
        unsafe pointee.body.ended = .zero
        unsafe pointee.flags.remove(AttemptClock.flag)
    }

    @inline(__always)
    private func begun<Part: RequestPart>() -> UnsafeMutablePointer<Part> {
        if unsafe !pointee.flags.contains(Part.flag) { unsafe beginFirst(Part.self) }
        return unsafe place(Part.offset)
    }

    @inline(never)
    private func beginFirst<Part: RequestPart>(_ type: Part.Type) { unsafe begin(with: Part()) }

    @inline(__always)
    private func place<Part>(_ offset: Int) -> UnsafeMutablePointer<Part> {
        unsafe (UnsafeMutableRawPointer(self) + offset).assumingMemoryBound(to: Part.self)
    }

    // MARK: - Companions

    /// Where it is copied to a shadow, or is the copy; one reference is ours.
    @inline(__always)
    var mirror: Unmanaged<MirroredCall>? {
        get { unsafe pointee.isMirrored ? place(RequestSlot.mirror).pointee : nil }
        nonmutating set {
            unsafe pointee.flags[.mirror] = newValue != nil
            if let newValue = unsafe newValue {
                unsafe place(RequestSlot.mirror).initialize(to: newValue)
            }
        }
    }

    /// Where it may be sent to further backends while it waits, or is such a copy; the original's
    /// reference is ours.
    @inline(__always)
    var hedge: Unmanaged<HedgedCall>? {
        get { unsafe pointee.isHedged ? place(RequestSlot.hedge).pointee : nil }
        nonmutating set {
            unsafe pointee.flags[.hedge] = newValue != nil
            if let newValue = unsafe newValue {
                unsafe place(RequestSlot.hedge).initialize(to: newValue)
            }
        }
    }

    /// Its neighbours among those that wait for their message; good for something while it is one of them.
    var neighbours: UnsafeMutablePointer<ArrivalNeighbours> {
        unsafe place(RequestSlot.neighbours)
    }

    // MARK: - Texts

    /// Where the request's identifier is, ``RequestRecord/requestIDCount`` bytes.
    var requestIDPlace: UnsafeMutablePointer<UInt8> { unsafe place(RequestSlot.requestID) }
    /// The request's identifier, as given or made.
    var requestID: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            start: requestIDPlace,
            count: Int(pointee.requestIDCount)
        )
    }
    /// Where the scanner writes the model's name.
    var modelNamePlace: UnsafeMutablePointer<UInt8> { unsafe place(RequestSlot.modelName) }
    /// Where a small body is kept to be sent once more, ``RetryState/smallCount`` bytes.
    var smallBodyPlace: UnsafeMutablePointer<UInt8> { unsafe place(RequestSlot.smallBody) }

    /// The small body that is kept.
    var smallBody: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            start: smallBodyPlace,
            count: Int(pointee.retry.smallCount)
        )
    }

    /// How many bytes of the body are kept to be sent once more.
    var keptCount: Int {
        let small = unsafe Int(pointee.retry.smallCount)
        return unsafe small + (existing(Replay.self)?.pointee.body.count ?? 0)
    }

    // MARK: - Its caller

    /// Tells a client to go on that waits for that before it sends its body (RFC 9110 §10.1.1).
    @inline(__always)
    func sendContinue() {
        if unsafe pointee.expectsContinue { unsafe pointee.exchange.sendContinue() }
    }

    // MARK: - What its answer says

    /// Says which revision and which backend answer; each answer of a model passes here.
    @inline(__always)
    func appendOrigin(to head: FieldBlock) {
        if let revision = unsafe pointee.revision {
            unsafe revision._withUnsafeGuaranteedRef {
                unsafe head.append(.sluiceRevision, $0.name.bytes)
            }
        }
        if let backend = unsafe pointee.attempt.backend {
            unsafe backend._withUnsafeGuaranteedRef {
                unsafe head.append(.sluiceBackend, $0.label.bytes)
            }
        }
    }

    /// Whether the answer's head says no more than its name stands for, beside values that repeats give anew.
    ///
    /// What ``appendOrigin(to:)`` says of one request alone must be asked about here, or a later answer repeats it.
    @inline(__always)
    var isHeadRepeatable: Bool { unsafe pointee.origin.isNone }
}
