import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceTelemetry

/// One worker's part in warming revisions; made when the first run begins.
@safe
final class CacheWarmer: TimerTarget {
    private unowned let worker: Worker
    private var runs: [WarmupRun] = []
    /// Whose requests are under way.
    private var requests: [UnsafeMutableRawPointer: WarmupRun] = unsafe [:]
    private var timer = TimerID.none

    private static let interval = Duration.milliseconds(10)
    // What is known already costs a look-up each, and callers are waiting.
    private static let takesMaximum = 16

    init(_ worker: Worker) { self.worker = worker }

    /// Takes part in `run` until it is over.
    func join(_ run: WarmupRun) {
        runs.append(run)
        arm()
    }

    func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        runs.removeAll { isOver($0, now) }
        arm()
    }

    private func isOver(_ run: WarmupRun, _ now: Instant) -> Bool {
        for _ in 0..<CacheWarmer.takesMaximum {
            switch run.next(at: now) {
            case .replay(let input):
                guard let request = unsafe worker.replay(input, for: run) else { return true }
                // Whether it goes out, waits, or is over at once: the end finds it here.
                unsafe requests[UnsafeMutableRawPointer(request)] = run
                unsafe worker.gathered(request)
            case .wait: return false
            case .over: return true
            }
        }
        return false
    }

    private func arm() {
        guard timer == .none, !runs.isEmpty else { return }
        timer = worker.loop.setTimer(after: CacheWarmer.interval, target: self, tag: 0)
    }

    /// A request of our own is over; perhaps it was one of these.
    func ended(_ request: Request) {
        guard let run = unsafe requests.removeValue(forKey: UnsafeMutableRawPointer(request)) else {
            return
        }
        let grpc = unsafe request.pointee.grpcStatus
        let http = unsafe request.pointee.status
        let isGood = unsafe request.pointee.reason == .ok && (200..<300).contains(http) && grpc <= 0
        let result: WarmResult =
            unsafe !isGood ? .failed : request.pointee.attempt.sent == .zero ? .skipped : .answered
        worker.shard.add(
            worker.shared.store.counter(
                GatewayMetrics.warmRequests,
                [run.model, run.revision, result.rawValue]
            )
        )
        run.ended(
            result,
            isRevisionsFault: grpc > 0 ? StatusTable.http(grpc: grpc) >= 500 : http >= 500,
            grpc > 0 ? "gRPC status \(grpc)" : "HTTP \(http)"
        )
    }

    /// Leaves all runs; what is under way ends with its connections.
    func close() {
        worker.loop.cancelTimer(&timer)
        for run in runs { run.cancel() }
        runs = []
    }
}

// What is replayed goes the way of all others from the moment its body is whole, to a revision that is
// set, without a caller.
extension Worker {
    /// Takes part in warming a revision.
    package func warm(_ run: WarmupRun) {
        let hand = cacheWarmer ?? CacheWarmer(self)
        cacheWarmer = hand
        hand.join(run)
    }

    /// The request once more, whole, for a revision; nil when the revision is gone.
    func replay(_ input: TopRequest, for run: WarmupRun) -> Request? {
        guard let model = workerSnapshot.models.first(where: { $0.plan.name == run.model }),
            let revision = model.revisions.first(where: { $0.plan.name == run.revision })
        else {
            run.stop(.failing("it isn't configured any more"))
            return nil
        }
        let made = unsafe begin(
            .detached(arena),
            head(of: input),
            on: .passUnretained(workerSnapshot),
            started: loop.now
        )
        unsafe made.pointee.isInternal = true
        unsafe made.pointee.hasRequestEnded = true
        unsafe made.pointee.model = .passUnretained(model)
        unsafe made.pointee.revision = .passUnretained(revision)
        unsafe made.pointee.timeout = model.timeout
        if input.form == .grpc {
            unsafe made.pointee.callerProtocol = .grpc
            unsafe made.pointee.method = .modelInfer
        } else {
            unsafe made.pointee.callerProtocol = input.form == .v1 ? .v1 : .v2
            unsafe input.path.withUnsafeBytes { path in
                let parsed = unsafe InferencePath(path)
                unsafe made.pointee.operation = parsed.operation
                unsafe made.begin(with: PathParts(parsed))
            }
        }
        unsafe made.pointee.cacheRole = .uncoalesced
        unsafe input.body.withUnsafeBytes {
            unsafe made.pointee.body.buffered.append($0, pool: buffers)
        }
        unsafe made.pointee.body.acknowledged = input.body.count
        shard.add(revision.metrics.inFlight, 1)
        unsafe armDeadline(made)
        return unsafe made
    }

    private func head(of input: TopRequest) -> FieldBlock {
        let head = blocks.take()
        head.append(.method, "POST")
        head.append(.scheme, "http")
        // The backend's takes its place, among the fields that come first (RFC 9113 §8.3).
        head.append(.authority, "sluice")
        unsafe input.path.withUnsafeBytes { unsafe head.append(.path, $0) }
        unsafe input.contentType.withUnsafeBytes { unsafe head.append(.contentType, $0) }
        if let length = input.headerLength {
            head.append(.inferenceHeaderContentLength, decimal: length, isVolatile: true)
        }
        if input.form != .grpc {
            head.append(.contentLength, decimal: input.body.count, isVolatile: true)
        }
        return head
    }

    // MARK: - What is hot

    @inline(never)
    func noteHot(
        _ request: Request,
        _ body: UnsafeRawBufferPointer,
        _ sampler: TopRequestSampler
    ) {
        let weight = sampler.take(at: loop.now, random: &random)
        guard let reader = unsafe keyReader(of: request), let head = unsafe request.pointee.head,
            let path = unsafe head.first(.path)
        else { return }
        // Under no revision: the same input is the same, whichever was asked.
        let cacheable = unsafe withKeyContext(of: request) {
            unsafe codec.keys.read(body, reader, $0.acrossRevisions)
        }
        guard let cacheable else { return }
        sampler.inputs.note(
            cacheable.key,
            weight: weight,
            byteCount: body.count,
            at: loop.now
        ) {
            unsafe TopRequest(
                form: reader.form,
                path: Array(path),
                contentType: head.first(.contentType).map { unsafe Array($0) } ?? [],
                headerLength: reader.headerLength,
                body: Array(body)
            )
        }
    }
}
