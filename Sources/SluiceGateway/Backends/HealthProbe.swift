import SluiceBalancing
import SluiceCompression
package import SluiceCore
package import SluiceEgress
import SluiceGRPC
package import SluiceHTTP
package import SluiceIO
import SluiceInference
import SluiceWire

/// Asks every backend regularly whether it is well, and writes the answer on the load board.
///
/// A REST backend is asked for `health.path`, a gRPC one for ServerReady. Without a configured path
/// REST is asked for V2's readiness, where that doesn't exist for the model's status in V1, and where
/// there isn't any for its prediction, which answers 405. The first answer counts at once; afterwards one
/// success brings a backend back and two failures in a row take it out. What a failure was is on the
/// backend's ``HealthNote``.
/// Lives on the control loop; what it finds reaches workers through the board's atomics.
package final class HealthProbe: ResponseReceiver, TimerTarget {
    /// What is to be told of a backend.
    package struct Complaint: Sendable {
        package let model: String
        package let revision: String
        package let backend: BackendPlan
        /// Why it counts as down; nil when it is well again.
        package let reason: String?
    }

    /// What a backend is asked.
    enum Check: Equatable {
        /// Whether it is ready: `health.path`, V2's readiness, or ServerReady.
        case ready
        /// Whether its model is ready, in V1's way.
        case readyV1
        /// Whether there is a prediction in V1's way: GET isn't its method.
        case readyByMethod
        /// What it is.
        case runtime(RuntimeInquiry.Check)
        /// What its model takes and gives.
        case description
    }

    final class Target {
        var plan: BackendPlan
        let pool: ConnectionPool
        let isGRPC: Bool
        /// Whose backend it is.
        let model: String
        let revision: String
        var isAsking = false
        var check = Check.ready
        /// The way in which it is asked whether it is ready: the one that it has answered.
        var readiness = Check.ready
        /// What its readiness came to in ways that it doesn't have, while another is tried.
        var failedWays: [String] = []
        /// Whether it is to be asked what it is: when it has come up, and until it has told.
        var wantsRuntime = true
        /// Good answers to pass before one that hasn't told is asked again: twice as many each time.
        var runtimePause = 0
        var runtimePauseLeft = 0
        var inquiry = RuntimeInquiry(isReadyInV2: false, hasTensors: false)
        /// Whether its model isn't described, which won't change while the server runs.
        var isUndescribed = false
        var call: Call?
        var failures = 0
        var status = 0
        var answer: [UInt8] = []
        /// What a gRPC message of the answer may be compressed with.
        var coding: ContentCoding?
        var timer = TimerID.none
        var hasAnswered = false
        /// What is wrong with it, as last told.
        var complaint: String?

        init(plan: BackendPlan, pool: ConnectionPool, of model: String, _ revision: String) {
            self.plan = plan
            self.model = model
            self.revision = revision
            self.pool = pool
            isGRPC = plan.rest == nil
        }
    }

    let loop: EventLoop
    private let arena: HTTPArena
    let readiness: GatewayReadiness
    private var random: RandomSource
    private(set) var targets: [UInt: Target] = [:]
    private var nextKey: UInt = 1
    private var shares = SpilloverWatch()
    private let post: (SpilloverWatch.Notice) -> Void
    private let complain: (Complaint) -> Void
    /// Says that backends were found to be something else than the snapshot has it.
    let learned: () -> Void
    /// Whether what was last told is being taken over, and whether there is more by now.
    var isTelling = false
    var hasMore = false

    // Timer tags: a target's key, and whether it is time to ask or time to give up.
    private static let giveUpBit: UInt = 1 << 63
    static let descriptionMaximum = 1 << 20
    private static let answerMaximum = 4 << 10

    /// A probe without targets; `post` hears when a revision has no backend left, or one again,
    /// `complain` why a backend counts as down, once for each new reason, and when it is well again,
    /// `learned` when backends were found to be something else than the snapshot has it: it is answered
    /// by ``takenOver()``.
    package init(
        loop: EventLoop,
        readiness: GatewayReadiness,
        post: @escaping (SpilloverWatch.Notice) -> Void = { _ in },
        complain: @escaping (Complaint) -> Void = { _ in },
        learned: @escaping () -> Void = {}
    ) {
        self.loop = loop
        self.learned = learned
        self.post = post
        self.complain = complain
        self.readiness = readiness
        arena = HTTPArena(buffers: loop.buffers)
        random = RandomSource(seed: UInt64(bitPattern: loop.kernel.wallClock()))
    }

    /// Watches the backends of `snapshot` from now on; new ones are asked at once.
    ///
    /// A backend that is watched already keeps its connection and its turn, so that many changes in
    /// a row are no storm of checks.
    package func watch(_ snapshot: Snapshot) {
        shares.watch(snapshot)
        var known = targets.sorted { $0.key < $1.key }
        targets.removeAll()
        let all = snapshot.models.flatMap { model in
            model.revisions.flatMap { revision in
                revision.backends.map { (model.name, revision.name, $0) }
            }
        }
        for (model, revision, backend) in all {
            guard backend.state != .maint, let way = backend.rest ?? backend.grpc else { continue }
            if let place = known.firstIndex(where: { HealthProbe.asks($0.value, as: backend) }) {
                let (key, target) = known.remove(at: place)
                target.plan = backend
                targets[key] = target
                continue
            }
            let pool = ConnectionPool(
                loop: loop,
                arena: arena,
                endpoint: way.endpoint,
                receiver: self
            )
            let target = Target(plan: backend, pool: pool, of: model, revision)
            targets[nextKey] = target
            ask(nextKey, target)
            nextKey += 1
        }
        for (_, target) in known { forget(target) }
    }

    /// Whether a target is asked just as `plan` wants it.
    private static func asks(_ target: Target, as plan: BackendPlan) -> Bool {
        let old = target.plan
        return old.load == plan.load && (old.rest ?? old.grpc)?.key == (plan.rest ?? plan.grpc)?.key
            && old.probePath == plan.probePath && old.probePathV1 == plan.probePathV1
            && old.probeInterval == plan.probeInterval
            && old.probeTimeout == plan.probeTimeout
    }

    private func forget(_ target: Target) {
        target.plan.note.reason = nil
        loop.cancelTimer(&target.timer)
        target.pool.closeAll()
    }

    /// Ends all probing.
    package func close() {
        for target in targets.sorted(by: { $0.key < $1.key }).map(\.value) { forget(target) }
        targets.removeAll()
    }

    // MARK: - Asking

    /// Asks whether it is ready, in the way in which it last said so.
    private func ask(_ key: UInt, _ target: Target) {
        let isOther = target.plan.probePathV1 != nil
        ask(key, target, isOther ? target.readiness : .ready)
    }

    func ask(_ key: UInt, _ target: Target, _ check: Check) {
        target.isAsking = true
        target.check = check
        target.answer = []
        target.status = 0
        target.timer = loop.setTimer(
            after: target.plan.probeTimeout,
            target: self,
            tag: key | HealthProbe.giveUpBit
        )
        acquire(key, target)
    }

    private func acquire(_ key: UInt, _ target: Target) {
        guard let context = unsafe UnsafeMutableRawPointer(bitPattern: key) else { return }
        switch unsafe target.pool.acquire(context) {
        case .ready(let connection): unsafe begin(context, connection.takeUnretainedValue())
        case .waiting: break
        case .full: finish(key, target, failure: "connect: too many wait for a connection")
        }
    }

    package func callReady(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        unsafe begin(context, connection)
    }

    private func begin(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        guard let target = targets[UInt(bitPattern: context)], target.isAsking,
            let way = target.plan.rest ?? target.plan.grpc
        else { return }
        let head = arena.blocks.take()
        head.append(.method, target.isGRPC ? "POST" : "GET")
        head.append(.scheme, way.endpoint.tls == nil ? "http" : "https")
        head.append(.authority, text: way.authority)
        if target.isGRPC {
            head.append(.path, HealthProbe.method(target.check).path)
            head.append(.contentType, "application/grpc")
            head.append(.transferCodings, "trailers")
        } else {
            head.append(.path, text: HealthProbe.path(target))
        }
        head.append(.userAgent, "sluice-probe")
        target.plan.fields?.put(into: head)
        target.call = unsafe connection.begin(head, endStream: !target.isGRPC, context: context)
        if target.isGRPC, let call = target.call {
            // ModelMetadataRequest has the name as its first field, the others nothing.
            var message = WireWriter()
            if case .description = target.check, let name = target.plan.metadata?.modelName,
                !name.isEmpty
            {
                message.string(field: 1, name)
            }
            let frame = GRPCFrame.frame(message.bytes)
            unsafe frame.withUnsafeBytes { unsafe _ = call.send($0, endStream: true) }
        }
    }

    package func timerFired(_ tag: UInt, at now: Instant) {
        let key = tag & ~HealthProbe.giveUpBit
        guard let target = targets[key] else { return }
        target.timer = .none
        guard tag & HealthProbe.giveUpBit != 0 else {
            ask(key, target)
            return
        }
        var asked = "connect"
        if let call = target.call {
            asked = HealthProbe.name(target)
            call.cancel()
        } else if let context = unsafe UnsafeMutableRawPointer(bitPattern: key) {
            unsafe target.pool.cancelWaiting(context)
        }
        let milliseconds = target.plan.probeTimeout.nanoseconds / 1_000_000
        let time = milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000)s" : "\(milliseconds)ms"
        finish(key, target, failure: "\(asked): timed out after \(time)")
    }

    // MARK: - Answers

    package func connectFailed(_ context: UnsafeMutableRawPointer, _ failure: CallFailure) {
        unsafe conclude(context, failure: HealthProbe.words(failure))
    }

    package func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool) {
        let status = head.status
        let grpc = unsafe head.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
        let message = head.text(named: "grpc-message")
        let coding = NamedCoding(head, .grpcEncoding).coding
        arena.blocks.give(head)
        guard let context = unsafe call.context, let target = targets[UInt(bitPattern: context)]
        else {
            return
        }
        target.status = status
        target.coding = coding
        if endStream {
            unsafe conclude(context, failure: HealthProbe.failure(target, grpc: grpc, message))
        }
    }

    package func responseInterim(_ call: Call, _ head: FieldBlock) { arena.blocks.give(head) }

    package func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let context = unsafe call.context, let target = targets[UInt(bitPattern: context)]
        else {
            return
        }
        let room =
            (target.check.isOfMetadata
                ? HealthProbe.descriptionMaximum : HealthProbe.answerMaximum)
            - target.answer.count
        if room > 0 { unsafe target.answer.append(contentsOf: bytes.prefix(room)) }
        if endStream {
            unsafe conclude(context, failure: HealthProbe.failure(target, grpc: nil, nil))
        } else {
            call.consumed(bytes.count)
        }
    }

    package func responseTrailers(_ call: Call, _ trailers: FieldBlock) {
        let grpc = unsafe trailers.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
        let message = trailers.text(named: "grpc-message")
        arena.blocks.give(trailers)
        guard let context = unsafe call.context, let target = targets[UInt(bitPattern: context)]
        else {
            return
        }
        if let coding = target.coding { target.decodeAnswer(coding) }
        unsafe conclude(context, failure: HealthProbe.failure(target, grpc: grpc, message))
    }

    package func requestDrained(_ call: Call, _ count: Int) {}

    package func callFailed(_ call: Call, _ failure: CallFailure) {
        guard let context = unsafe call.context, let target = targets[UInt(bitPattern: context)]
        else {
            return
        }
        if case .staleConnection = failure {
            // It says nothing of the backend that it ended a connection that rested.
            target.call = nil
            target.pool.dropIdle()
            acquire(UInt(bitPattern: context), target)
            return
        }
        unsafe conclude(
            context,
            failure: "\(HealthProbe.name(target)): \(HealthProbe.words(failure))"
        )
    }

    private func conclude(_ context: UnsafeMutableRawPointer, failure: String?) {
        let key = UInt(bitPattern: context)
        guard let target = targets[key], target.isAsking else { return }
        finish(key, target, failure: failure)
    }

    private func finish(_ key: UInt, _ target: Target, failure: String?) {
        loop.cancelTimer(&target.timer)
        target.isAsking = false
        target.call = nil
        let isGood = failure == nil
        let isAbsent = RuntimeInquiry.absent.contains(target.status)
        switch target.check {
        case .description:
            describe(target, isGood: isGood)
            rest(key, target)
            return
        case .runtime(let check):
            learn(key, target, check, isGood: isGood)
            return
        case .ready:
            if let failure, isAbsent, !target.isGRPC, target.plan.probePathV1 != nil {
                target.failedWays.append(failure)
                ask(key, target, .readyV1)
                return
            }
        case .readyV1:
            if let failure, isAbsent {
                target.failedWays.append(failure)
                ask(key, target, .readyByMethod)
                return
            }
            // What V1 says is the reason, where there is a V1.
            target.failedWays = []
        case .readyByMethod: break
        }
        let way = target.check
        var failures = target.failedWays
        target.failedWays = []
        if case .readyByMethod = way {} else { failures += [failure].compactMap { $0 } }
        // One that isn't ready may learn V2 yet, so that is asked for again.
        target.readiness = isGood ? way : .ready
        settle(key, target, isGood ? nil : failures.joined(separator: "; "))
    }

    /// The backend is well, or why it isn't is known.
    private func settle(_ key: UInt, _ target: Target, _ failure: String?) {
        let isGood = failure == nil
        target.failures = isGood ? 0 : target.failures + 1
        let load = target.plan.load
        if isGood {
            if load.health == .down || load.health == .unknown {
                // Another server may be there by now.
                target.wantsRuntime = true
                (target.runtimePause, target.runtimePauseLeft) = (0, 0)
                target.isUndescribed = false
            }
            load.cameUp(at: loop.now)
        } else if target.failures >= 2 || load.health == .unknown {
            load.health = .down
        }
        target.plan.note.reason = failure
        if isGood || load.health == .down, target.complaint != failure {
            target.complaint = failure
            complain(
                Complaint(
                    model: target.model,
                    revision: target.revision,
                    backend: target.plan,
                    reason: failure.map(HealthNote.bounded)
                )
            )
        }
        for notice in shares.changes(at: loop.now) { post(notice) }
        if !isGood || !asksMore(key, target) { rest(key, target) }
    }

    /// All is asked for now.
    func rest(_ key: UInt, _ target: Target) {
        if !target.hasAnswered {
            target.hasAnswered = true
            noteProbed()
        }
        if hasMore, !isTelling { tellLearned() }
        askLater(key, target)
    }

    private func askLater(_ key: UInt, _ target: Target) {
        let load = target.plan.load
        // A fifth of the interval is chance, so that backends aren't all asked at one moment. A
        // backend that is down is asked sooner: its return should be noticed.
        var wait = target.plan.probeInterval.nanoseconds
        if load.health == .down { wait = min(wait, 500_000_000) }
        let jitter = Int64(random.next(below: Int(max(1, wait / 5))))
        target.timer = loop.setTimer(
            after: .nanoseconds(wait - wait / 10 + jitter),
            target: self,
            tag: key
        )
    }
}
