import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceInference
import SluiceIngress
import SluiceTelemetry

/// Where a request stands on its way; see ``Worker`` for the steps between.
enum RequestStage: UInt8 {
    /// The head is here; a gRPC body must first say which model it means.
    case routing
    /// A backend is chosen and a connection to it is being made.
    case connecting
    /// The request is collected, to be looked up in the cache when it is whole.
    case gathering
    /// An equal call is under way, or tier 2 is being asked.
    case waiting
    /// The request goes out and the answer comes in.
    case relaying
    /// The gateway answers by itself once it has the request's message.
    case answering
    /// An error is decided; it goes out when the client has sent its body, or too much of it,
    /// or has been waited for long enough.
    case failing
}

/// One request and everything known of it: a slab record.
///
/// Every field is trivial; what it owns (blocks, held bytes, scratch) goes back in
/// `Worker.end(_:)`, the one place where a request ends.
@safe
struct RequestRecord: BitwiseCopyable {
    let exchange: Exchange
    let workerSnapshot: Unmanaged<WorkerSnapshot>
    let started: Instant

    var stage = RequestStage.routing
    var callerProtocol = RequestProtocol.other
    var operation = InferencePath.Operation.unknown
    var method = GRPCMethod.unknown
    var reason = Reason.ok

    var model: Unmanaged<WorkerModel>?
    var revision: Unmanaged<WorkerRevision>?
    var backend: Unmanaged<WorkerBackend>?
    /// Backends already tried, a bit each for the first 64, and where the worker keeps the others; see
    /// ``TriedSets``.
    var tried: UInt64 = 0
    var triedFurther: UInt32 = 0
    var attempts: UInt16 = 0
    var call: Call?
    /// What the attempt says of the backend so far.
    var outcome = BackendOutcome.unknown
    /// Whether the backend's refusal is down to what its caller asked for.
    var isCallersDoing = false
    /// Whether the path names a version of the model.
    var namesVersion = false
    var retry = RetryState()
    var queueTicket = QueueTicket()

    /// The request's head until it is sent on.
    var head: FieldBlock?
    /// Where model and version stand in the path (REST).
    var modelStart = 0
    var modelEnd = 0
    var prefixLength = 0
    /// Body bytes that can't be passed on yet.
    var buffered = PooledBytes()
    /// Body bytes that go out behind ``buffered`` if a connection is ready; valid for one call only.
    var pendingChunk = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    var bufferedTrailers: FieldBlock?
    /// Body bytes that count as taken already, though they are held.
    var acknowledged = 0
    var cache = CacheState()
    /// Where it is copied to a shadow, or is the copy; one reference is ours.
    var mirror: Unmanaged<MirroredCall>?
    /// Where it may be sent to further backends while it waits, or is such a copy; the original's
    /// reference is ours.
    var hedge: Unmanaged<HedgedCall>?
    /// Names and identifiers of this request, in the memory behind the record; see ``RequestScratch``.
    let scratch: UnsafeMutableRawBufferPointer
    /// Whether the request's identifier is ours.
    var hasOwnRequestID = false
    var requestIDCount: UInt16 = 0
    var trace = TraceID.none
    var scanner = RoutingScanner(nameField: 1, messageMaximum: 0, isStreaming: false)
    /// The time the request may take, in nanoseconds; 0 is no limit.
    var timeout: Int64 = 0

    /// Whether `Worker.errorReplies` or `Worker.watchers` has an entry for this request.
    var isListed = false
    var hasRequestEnded = false
    var hasResponseBegun = false
    var isHead = false
    /// Whether the answer is gathered whole, since the backend speaks another protocol than the
    /// caller (and which), or has been asked for some rows only.
    var isTranslated = false
    /// Whether the body is coded as it lies here, so that it must be decoded before it can be read (REST).
    ///
    /// Of a gRPC message its own flag says so (``RoutingScanner/isCompressed``).
    var isCoded = false
    var translatedProtocol = RequestProtocol.other
    /// Whether we ask for ourselves, to refresh the cache or for a shadow; no caller gets the answer.
    var isInternal = false
    /// What the answer says of the caller's origin.
    var origin = CrossOriginPolicy.Verdict.none
    var firstByte = Instant.zero
    var sent = Instant.zero
    var clock = AttemptClock()
    var requestBytes = 0
    var responseBytes = 0
    /// The HTTP status answered, 0 while none was.
    var status: Int = 0
    /// The gRPC status answered; -1 while none was.
    var grpcStatus: Int = -1
    var backendCode: Int = 0
    var timer = TimerID.none
    var timerPurpose = RequestTimer.deadline
    /// Its neighbours among those that wait for their message; see ``ArrivalQueue``.
    var nextArrival: UnsafeMutablePointer<RequestRecord>?
    var previousArrival: UnsafeMutablePointer<RequestRecord>?
    /// Whether the client sends its body only when it has been told to continue.
    var expectsContinue = false
    /// What `Worker.offloaded` knows it by while a helper thread works on its body; 0 while none does.
    var offloadToken: UInt64 = 0
}

/// How a request's scratch bytes are divided.
enum RequestScratch {
    static let size = 512
    static let modelName = 0
    static let modelNameMaximum = 256
    static let requestID = 256
    static let requestIDMaximum = 128
    /// A small body, kept to be sent once more.
    static let replay = 384
    static let replayMaximum = 128
}

extension UnsafeMutablePointer<RequestRecord> {
    /// What is spoken with the backend.
    var backendProtocol: RequestProtocol {
        unsafe pointee.isTranslated ? pointee.translatedProtocol : pointee.callerProtocol
    }
}

typealias Request = UnsafeMutablePointer<RequestRecord>
