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
/// A REST backend is asked for `health.path`, a gRPC one for ServerReady. The first answer counts
/// at once; afterwards one success brings a backend back and two failures in a row take it out.
/// Lives on the control loop; what it finds reaches workers through the board's atomics.
package final class HealthProbe: ResponseReceiver, TimerTarget {
    private final class Target {
        var plan: BackendPlan
        let pool: ConnectionPool
        let isGRPC: Bool
        var isAsking = false
        /// Whether it is being asked what its model takes, and not how it is.
        var isDescribing = false
        var call: Call?
        var failures = 0
        var isGood = false
        var answer: [UInt8] = []
        var timer = TimerID.none
        var hasAnswered = false
        /// Whether the next question is for the model's description; after each good answer while
        /// nobody has told.
        var wantsDescription = false
        /// Why it could not be connected to, as last told.
        var complaint: String?

        init(plan: BackendPlan, pool: ConnectionPool, isGRPC: Bool) {
            self.plan = plan
            self.pool = pool
            self.isGRPC = isGRPC
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
    private let complain: (_ backend: String, _ reason: String) -> Void

    // Timer tags: a target's key, and whether it is time to ask or time to give up.
    private static let giveUpBit: UInt = 1 << 63
    private static let descriptionMaximum = 1 << 20

    /// A probe without targets; `tell` hears when a revision has nobody left, or somebody again,
    /// `complain` why a backend can't be connected to, once for each new reason.
    package init(
        loop: EventLoop,
        readiness: GatewayReadiness,
        tell: @escaping (ShareWatch.Notice) -> Void = { _ in },
        complain: @escaping (_ backend: String, _ reason: String) -> Void = { _, _ in }
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
        for backend in snapshot.models.flatMap(\.revisions).flatMap(\.backends) {
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
            let target = Target(plan: backend, pool: pool, isGRPC: backend.rest == nil)
            // Not the target itself, which holds the pool.
            pool.connectOutcome = { [weak target, complain] reason in
                guard let target, target.complaint != reason else { return }
                target.complaint = reason
                if let reason { complain(target.plan.label, reason) }
            }
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
            && old.probePath == plan.probePath && old.probeInterval == plan.probeInterval
            && old.probeTimeout == plan.probeTimeout
    }

    private func forget(_ target: Target) {
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
        target.isAsking = true
        target.isDescribing = target.wantsDescription && target.plan.load.health == .up
        target.wantsDescription = false
        target.answer = []
        target.isGood = false
        target.timer = loop.setTimer(
            after: target.plan.probeTimeout,
            target: self,
            tag: key | HealthProbe.giveUpBit
        )
        guard let user = unsafe UnsafeMutableRawPointer(bitPattern: key) else { return }
        switch unsafe target.pool.acquire(user) {
        case .ready(let connection): unsafe begin(user, connection.takeUnretainedValue())
        case .waiting: break
        case .full: finish(key, target, isGood: false)
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
            let path = target.isDescribing ? target.plan.metadata?.path : nil
            head.append(.path, text: path ?? target.plan.probePath)
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
        if let call = target.call {
            call.cancel()
        } else if let user = unsafe UnsafeMutableRawPointer(bitPattern: key) {
            unsafe target.pool.cancelWaiting(user)
        }
        finish(key, target, isGood: false)
    }

    // MARK: - Answers

    package func callRefused(_ user: UnsafeMutableRawPointer, _ failure: CallFailure) {
        unsafe conclude(user, isGood: false)
    }

    package func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool) {
        let status = head.status
        let isGood = (200..<300).contains(status)
        let grpc = unsafe head.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
        arena.blocks.give(head)
        guard let user = unsafe call.user, let target = targets[UInt(bitPattern: user)] else {
            return
        }
        target.isGood = isGood
        if endStream { unsafe conclude(user, isGood: isGood && (grpc ?? 0) == 0 && !target.isGRPC) }
    }

    package func responseInterim(_ call: Call, _ head: FieldBlock) { arena.blocks.give(head) }

    package func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let user = unsafe call.user, let target = targets[UInt(bitPattern: user)] else {
            return
        }
        let room = (target.isDescribing ? HealthProbe.descriptionMaximum : 64) - target.answer.count
        if room > 0 { unsafe target.answer.append(contentsOf: bytes.prefix(room)) }
        if endStream {
            unsafe conclude(user, isGood: target.isGood && !target.isGRPC)
        } else {
            call.consumed(bytes.count)
        }
    }

    package func responseTrailers(_ call: Call, _ trailers: FieldBlock) {
        let grpc = unsafe trailers.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
        arena.blocks.give(trailers)
        guard let user = unsafe call.user, let target = targets[UInt(bitPattern: user)] else {
            return
        }
        // ServerReadyResponse: `ready = true` is the two bytes 08 01 after the prefix.
        let isReady =
            !target.isGRPC
            || grpc == 0
                && (target.isDescribing || target.answer.dropFirst(5).elementsEqual([8, 1]))
        unsafe conclude(user, isGood: target.isGood && isReady)
    }

    package func requestDrained(_ call: Call, _ count: Int) {}

    package func callFailed(_ call: Call, _ failure: CallFailure) {
        guard let user = unsafe call.user else { return }
        unsafe conclude(user, isGood: false)
    }

    private func conclude(_ user: UnsafeMutableRawPointer, isGood: Bool) {
        let key = UInt(bitPattern: user)
        guard let target = targets[key], target.isAsking else { return }
        finish(key, target, isGood: isGood)
    }

    private func finish(_ key: UInt, _ target: Target, isGood: Bool) {
        loop.cancelTimer(&target.timer)
        target.isAsking = false
        target.call = nil
        if target.isDescribing {
            target.isDescribing = false
            if isGood { HealthProbe.read(target.answer, of: target.plan, isGRPC: target.isGRPC) }
            askLater(key, target)
            return
        }
        target.failures = isGood ? 0 : target.failures + 1
        let load = target.plan.load
        if isGood {
            load.cameUp(at: loop.now)
        } else if target.failures >= 2 || load.health == .unknown {
            load.health = .down
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
