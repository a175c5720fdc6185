import SluiceBalancing
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
/// REST is asked for V2's readiness, and where that doesn't exist for the model's status in V1. The
/// first answer counts at once; afterwards one success brings a backend back and two failures in a row
/// take it out. What a failure was is on the backend's ``HealthNote``.
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
    enum Question {
        /// Whether it is ready: `health.path`, V2's readiness, or ServerReady.
        case ready
        /// Whether its model is ready, in V1's way.
        case readyV1
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
        var question = Question.ready
        /// Whether it has answered in V1's way, and not in V2's.
        var speaksV1 = false
        /// What V2's readiness came to, while V1's is being asked for.
        var failureV2: String?
        var call: Call?
        var failures = 0
        var status = 0
        var answer: [UInt8] = []
        var timer = TimerID.none
        var hasAnswered = false
        /// Whether the next question is for the model's description; after each good answer while
        /// nobody has told.
        var wantsDescription = false
        /// What is wrong with it, as last told.
        var complaint: String?

        var isDescribing: Bool { question == .description }

        init(plan: BackendPlan, pool: ConnectionPool, of model: String, _ revision: String) {
            self.plan = plan
            self.model = model
            self.revision = revision
            self.pool = pool
            isGRPC = plan.rest == nil
        }
    }

    private let loop: EventLoop
    private let arena: HTTPArena
    private let readiness: GatewayReadiness
    private var random: RandomSource
    private var targets: [UInt: Target] = [:]
    private var nextKey: UInt = 1
    private var shares = ShareWatch()
    private let tell: (ShareWatch.Notice) -> Void
    private let complain: (Complaint) -> Void

    // Timer tags: a target's key, and whether it is time to ask or time to give up.
    private static let giveUpBit: UInt = 1 << 63
    private static let descriptionMaximum = 1 << 20
    private static let answerMaximum = 4 << 10
    /// What servers say to a path that they don't have.
    private static let absent: Set = [400, 404, 405, 501]

    /// A probe without targets; `tell` hears when a revision has nobody left, or somebody again,
    /// `complain` why a backend counts as down, once for each new reason, and when it is well again.
    package init(
        loop: EventLoop,
        readiness: GatewayReadiness,
        tell: @escaping (ShareWatch.Notice) -> Void = { _ in },
        complain: @escaping (Complaint) -> Void = { _ in }
    ) {
        self.loop = loop
        self.tell = tell
        self.complain = complain
        self.readiness = readiness
        arena = HTTPArena(buffers: loop.buffers)
        random = RandomSource(seed: UInt64(bitPattern: loop.kernel.wallClock()))
    }

    /// Watches the backends of `snapshot` from now on; new ones are asked at once.
    ///
    /// A backend that is watched already keeps its connection and its turn, so that many changes in
    /// a row are no storm of questions.
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

    private func ask(_ key: UInt, _ target: Target) {
        let isDescribing = target.wantsDescription && target.plan.load.health == .up
        target.wantsDescription = false
        let isV1 = target.speaksV1 && target.plan.probePathV1 != nil
        ask(key, target, isDescribing ? .description : isV1 ? .readyV1 : .ready)
    }

    private func ask(_ key: UInt, _ target: Target, _ question: Question) {
        target.isAsking = true
        target.question = question
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
        guard let user = unsafe UnsafeMutableRawPointer(bitPattern: key) else { return }
        switch unsafe target.pool.acquire(user) {
        case .ready(let connection): unsafe begin(user, connection.takeUnretainedValue())
        case .waiting: break
        case .full: finish(key, target, failure: "connect: too many wait for a connection")
        }
    }

    package func callReady(_ user: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        unsafe begin(user, connection)
    }

    private func begin(_ user: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        guard let target = targets[UInt(bitPattern: user)], target.isAsking,
            let way = target.plan.rest ?? target.plan.grpc
        else { return }
        let head = arena.blocks.take()
        head.append(.method, target.isGRPC ? "POST" : "GET")
        head.append(.scheme, way.endpoint.tls == nil ? "http" : "https")
        head.append(.authority, text: way.authority)
        if target.isGRPC {
            head.append(
                .path,
                (target.isDescribing ? GRPCMethod.modelMetadata : .serverReady).path
            )
            head.append(.contentType, "application/grpc")
            head.append(.transferCodings, "trailers")
        } else {
            head.append(.path, text: HealthProbe.path(target))
        }
        head.append(.userAgent, "sluice-probe")
        target.call = unsafe connection.begin(head, endStream: !target.isGRPC, user: user)
        if target.isGRPC, let call = target.call {
            // ModelMetadataRequest has the name as its first field, ServerReadyRequest nothing.
            let name = target.isDescribing ? target.plan.metadata?.modelName : nil
            var message = WireWriter()
            if let name, !name.isEmpty { message.string(field: 1, name) }
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
        } else if let user = unsafe UnsafeMutableRawPointer(bitPattern: key) {
            unsafe target.pool.cancelWaiting(user)
        }
        let milliseconds = target.plan.probeTimeout.nanoseconds / 1_000_000
        let time = milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000)s" : "\(milliseconds)ms"
        finish(key, target, failure: "\(asked): timed out after \(time)")
    }

    // MARK: - Answers

    package func callRefused(_ user: UnsafeMutableRawPointer, _ failure: CallFailure) {
        unsafe conclude(user, failure: HealthProbe.words(failure))
    }

    package func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool) {
        let status = head.status
        let grpc = unsafe head.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
        let message = head.text(named: "grpc-message")
        arena.blocks.give(head)
        guard let user = unsafe call.user, let target = targets[UInt(bitPattern: user)] else {
            return
        }
        target.status = status
        if endStream {
            unsafe conclude(user, failure: HealthProbe.failure(target, grpc: grpc, message))
        }
    }

    package func responseInterim(_ call: Call, _ head: FieldBlock) { arena.blocks.give(head) }

    package func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let user = unsafe call.user, let target = targets[UInt(bitPattern: user)] else {
            return
        }
        let room =
            (target.isDescribing ? HealthProbe.descriptionMaximum : HealthProbe.answerMaximum)
            - target.answer.count
        if room > 0 { unsafe target.answer.append(contentsOf: bytes.prefix(room)) }
        if endStream {
            unsafe conclude(user, failure: HealthProbe.failure(target, grpc: nil, nil))
        } else {
            call.consumed(bytes.count)
        }
    }

    package func responseTrailers(_ call: Call, _ trailers: FieldBlock) {
        let grpc = unsafe trailers.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
        let message = trailers.text(named: "grpc-message")
        arena.blocks.give(trailers)
        guard let user = unsafe call.user, let target = targets[UInt(bitPattern: user)] else {
            return
        }
        unsafe conclude(user, failure: HealthProbe.failure(target, grpc: grpc, message))
    }

    package func requestDrained(_ call: Call, _ count: Int) {}

    package func callFailed(_ call: Call, _ failure: CallFailure) {
        guard let user = unsafe call.user, let target = targets[UInt(bitPattern: user)] else {
            return
        }
        if case .staleConnection = failure {
            // It says nothing of the backend that it ended a connection that rested.
            target.call = nil
            target.pool.dropIdle()
            acquire(UInt(bitPattern: user), target)
            return
        }
        unsafe conclude(
            user,
            failure: "\(HealthProbe.name(target)): \(HealthProbe.words(failure))"
        )
    }

    private func conclude(_ user: UnsafeMutableRawPointer, failure: String?) {
        let key = UInt(bitPattern: user)
        guard let target = targets[key], target.isAsking else { return }
        finish(key, target, failure: failure)
    }

    private func finish(_ key: UInt, _ target: Target, failure: String?) {
        loop.cancelTimer(&target.timer)
        target.isAsking = false
        target.call = nil
        let isGood = failure == nil
        switch target.question {
        case .description:
            if isGood { HealthProbe.read(target.answer, of: target.plan, isGRPC: target.isGRPC) }
            askLater(key, target)
            return
        case .ready:
            if let failure, HealthProbe.absent.contains(target.status), !target.isGRPC,
                target.plan.probePathV1 != nil
            {
                target.failureV2 = failure
                ask(key, target, .readyV1)
                return
            }
        case .readyV1:
            // One that isn't ready may learn V2 yet, so that is asked for again.
            target.speaksV1 = isGood
            // What V1 says is the reason, where there is a V1.
            if !HealthProbe.absent.contains(target.status) { target.failureV2 = nil }
        }
        let failures = [target.failureV2, failure].compactMap { $0 }
        target.failureV2 = nil
        settle(key, target, isGood ? nil : failures.joined(separator: "; "))
    }

    /// The backend is well, or why it isn't is known.
    private func settle(_ key: UInt, _ target: Target, _ failure: String?) {
        let isGood = failure == nil
        target.failures = isGood ? 0 : target.failures + 1
        let load = target.plan.load
        if isGood {
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
        for notice in shares.changes(at: loop.now) { tell(notice) }
        if !target.hasAnswered {
            target.hasAnswered = true
            if targets.values.allSatisfy(\.hasAnswered) { readiness.markProbed() }
        }
        if isGood, let slot = target.plan.metadata?.slot, slot.signature == nil {
            target.wantsDescription = true
            ask(key, target)
            return
        }
        askLater(key, target)
    }

    /// Keeps what a backend said of its model; what can't be read is asked for again later.
    private static func read(_ answer: [UInt8], of plan: BackendPlan, isGRPC: Bool) {
        let signature =
            isGRPC
            ? unsafe Array(answer.dropFirst(5)).withUnsafeBytes {
                unsafe try? ModelSignature(protobuf: $0)
            } : try? ModelSignature(json: answer)
        if let signature { plan.metadata?.slot.fill(signature) }
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
