import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceInference
import SluiceIngress
import SluiceTelemetry

/// One request and what each step on its way needs to know of it, in four cache lines.
///
///     line 0  who      exchange, snapshot, model, revision, head, begin, timer
///     line 1  what     stage, protocol, API, flags, statuses, timeout, trace, byte counts
///     line 2  attempt  the backend and the call to it, and what may be sent once more
///     line 3  body     bytes and trailers that are held, and what the client has heard of
///
/// Every field is trivial, and all are written when the request begins. What only some requests need
/// lies behind the record in its slot, and is begun on first use; see ``RequestSlot``. What a request
/// owns (blocks, held bytes) goes back in `Worker.end(_:)`, the one place where a request ends.
@safe
struct RequestRecord: BitwiseCopyable {
    // Line 0: who.

    let exchange: Exchange
    let workerSnapshot: Unmanaged<WorkerSnapshot>
    var model: Unmanaged<WorkerModel>?
    var revision: Unmanaged<WorkerRevision>?
    /// The request's head until it is sent on.
    var head: FieldBlock?
    let started: Instant
    /// The one timer of the request; ``timerPurpose`` says what it is set for.
    var timer = TimerID.none

    // Line 1: what.

    var stage = RequestStage.routing
    var callerProtocol = RequestProtocol.other
    var operation = InferencePath.Operation.unknown
    var method = GRPCMethod.unknown
    var reason = Reason.ok
    var timerPurpose = RequestTimer.deadline
    /// What the request has to do with the cache.
    var cacheRole = CacheRole.none
    /// What the answer says of the caller's origin.
    var origin = CrossOriginPolicy.Verdict.none
    var flags = RequestFlags()
    private var httpStatus: UInt16 = 0
    private var grpcCode: Int8 = -1
    /// How many bytes the request's identifier has; see ``RequestSlot``.
    var requestIDCount: UInt8 = 0
    /// The time the request may take, in nanoseconds; 0 is no limit.
    var timeout: Int64 = 0
    var trace = TraceID.none
    var requestBytes = 0
    var responseBytes = 0
    /// What `Worker.offloaded` knows it by while a helper thread works on its body; 0 while none does.
    var offloadToken: UInt64 = 0

    // Line 2: the attempt.

    var attempt = Attempt()
    var retry = RetryState()

    // Line 3: the body.

    var body = RequestBody()

    /// A request that has begun, with this head.
    init(
        exchange: Exchange,
        workerSnapshot: Unmanaged<WorkerSnapshot>,
        head: FieldBlock,
        started: Instant
    ) {
        self.exchange = exchange
        unsafe self.workerSnapshot = workerSnapshot
        self.head = head
        self.started = started
    }

    /// The HTTP status answered, 0 while none was.
    var status: Int {
        get { Int(httpStatus) }
        set { httpStatus = UInt16(newValue) }
    }

    /// The gRPC status answered; -1 while none was.
    var grpcStatus: Int {
        get { Int(grpcCode) }
        set { grpcCode = Int8(newValue) }
    }
}
