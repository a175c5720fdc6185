import SluiceCompression
import SluiceCore
import SluiceInference

/// A model's shadow, as one worker sees it.
final class WorkerMirror {
    let plan: MirrorPlan
    let revision: WorkerRevision
    let metrics: MirrorMetrics
    /// Absent where answers aren't compared.
    let comparison: AnswerComparison?

    init(plan: MirrorPlan, revision: WorkerRevision, metrics: MirrorMetrics) {
        self.plan = plan
        self.revision = revision
        self.metrics = metrics
        comparison = plan.tolerance.map { AnswerComparison(tolerance: $0) }
    }
}

/// One request that is copied, from the draw to the comparison: the original's request and the copy's
/// hold it until they end.
@safe
final class MirroredCall {
    enum Stage {
        /// The request is still coming.
        case gathering
        /// The copy is whole and goes out when this tick has written.
        case queued
        /// It is on its way.
        case sent
        /// It is over.
        case heard
        /// It will never be sent.
        case discarded
    }

    let mirror: WorkerMirror
    /// Its place among all that this worker has copied.
    let number: UInt64
    let form: ResponseFormat.APIForm?
    var stage = Stage.gathering
    /// The copy's request until that ends.
    var copy: Request?
    var isOriginalOver = false
    /// Whether the caller got a good answer, once ``isOriginalOver``.
    var isOriginalGood = false
    /// Whether the shadow has refused what it was asked as its caller's fault, which the original will tell.
    var isRefused = false
    /// What the caller got, and what the shadow said.
    var original: MirroredAnswer
    var shadow: MirroredAnswer

    /// A call that has come through the mirror's gate.
    init(
        _ mirror: WorkerMirror,
        number: UInt64,
        form: ResponseFormat.APIForm?,
        copy: Request,
        pool: BufferPool
    ) {
        self.mirror = mirror
        self.number = number
        self.form = form
        unsafe self.copy = copy
        original = MirroredAnswer(pool: pool)
        shadow = MirroredAnswer(pool: pool)
    }

    deinit { mirror.plan.gate.leave() }
}

/// An answer in its caller's form, copied as it passes, unless it is too large to be compared.
struct MirroredAnswer: ~Copyable {
    /// Bytes of an answer that is compared, at most: what a loop reads in about a millisecond.
    static let maximum = 256 << 10

    private(set) var body: ByteBuffer
    /// `inference-header-content-length`, if there is one.
    private(set) var headerLength: Int?
    /// What it may be compressed with.
    private var coding: ContentCoding?
    private var isPartial = true
    private var isTooLarge = false

    init(pool: BufferPool) { body = ByteBuffer(pool: pool) }

    /// Whether it can be compared.
    var isWhole: Bool { !isPartial && !isTooLarge }

    mutating func begin(headerLength: Int?, _ coding: ContentCoding?) {
        self.headerLength = headerLength
        self.coding = coding
    }

    /// Decodes it if it is compressed; what can't be decoded within the bound isn't compared.
    mutating func decode(isMessage: Bool, pool: BufferPool) {
        guard let coding, isWhole, unsafe !isMessage || MessageDecoding.isCompressed(body.bytes)
        else { return }
        let made = unsafe MessageDecoding.decode(
            body.bytes,
            coding,
            isMessage: isMessage,
            limit: MirroredAnswer.maximum,
            pool: pool
        )
        body.removeAll()
        guard case .success(var plain) = made else {
            isTooLarge = true
            return
        }
        unsafe body.append(plain.bytes)
        plain.release(to: pool)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard !isTooLarge else { return }
        if body.count + bytes.count > MirroredAnswer.maximum {
            isTooLarge = true
            body.removeAll()
        } else {
            unsafe body.append(bytes)
        }
    }

    mutating func finish() { isPartial = false }
}
