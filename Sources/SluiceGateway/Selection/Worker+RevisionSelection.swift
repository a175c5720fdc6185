import SluiceCore
import SluiceHTTP
import SluiceRouting
import SluiceTelemetry

// Which revision takes a request, decided once, while its head is still here:
//
//   x-sluice-revision, if allowed ─► routes ─► sticky ─► chance by weight
//   └───────── whatever the weights say ────┘  └──── weight 0 gets nothing ────┘
//
// What is routed is answered by that revision (from the cache, if it is there) or not at all: who asks
// for a candidate must not get another's answer. What is dealt by weight goes to others while its
// revision has no healthy backend.
extension Worker {
    private func chooseRevision(_ request: Request, _ model: WorkerModel) -> Bool {
        guard let chosen = unsafe decideRevision(request, model) else { return false }
        let revision = unsafe Unmanaged.passUnretained(model.revisions[chosen])
        unsafe request.pointee.revision = revision
        unsafe revision._withUnsafeGuaranteedRef { shard.add($0.metrics.inFlight, 1) }
        return true
    }

    /// Chooses a revision, once; false when there is none and the request is refused.
    func chooseRevision(_ request: Request) -> Bool {
        unsafe request.pointee.model?._withUnsafeGuaranteedRef {
            unsafe chooseRevision(request, $0)
        }
            ?? false
    }

    /// The number of the revision that takes the request; nil when the request has been refused.
    func decideRevision(_ request: Request, _ model: WorkerModel) -> Int? {
        if let rules = model.rules { return unsafe decideRevision(request, model, rules) }
        return unsafe draw(request, model)
    }

    private func decideRevision(
        _ request: Request,
        _ model: WorkerModel,
        _ rules: WorkerRules
    ) -> Int? {
        guard let head = unsafe request.pointee.head else {
            preconditionFailure("the revision is chosen before the head goes out")
        }
        if rules.rules.allowsRevisionHeader, let name = unsafe head.first(.sluiceRevision),
            unsafe !name.isEmpty
        {
            guard let named = unsafe revision(named: name, of: model) else {
                unsafe replyWithError(
                    request,
                    .unknownRevision(
                        String(decoding: name.prefix(64), as: UTF8.self),
                        of: model.plan.name,
                        known: model.plan.revisions.map(\.name).joined(separator: ", ")
                    )
                )
                return nil
            }
            return route(model, to: named)
        }
        if let routed = rules.routed(head) { return route(model, to: routed) }
        if let sticky = rules.rules.sticky, let user = unsafe rules.user(head) {
            return unsafe settle(
                request,
                model,
                sticky.split.choose(user: user, weights: model.plan.split.weights) {
                    model.revisions[$0].isUsable
                }
            )
        }
        return unsafe draw(request, model)
    }

    private func draw(_ request: Request, _ model: WorkerModel) -> Int? {
        let decision = model.plan.split.choose(random: &random) { model.revisions[$0].isUsable }
        return unsafe settle(request, model, decision)
    }

    /// Carries out what the weights decided.
    private func settle(
        _ request: Request,
        _ model: WorkerModel,
        _ decision: SplitDecision?
    ) -> Int? {
        guard let decision else {
            unsafe replyWithError(request, .noBackend(model.plan.name))
            return nil
        }
        if let spilloverFrom = decision.spilloverFrom {
            shard.add(model.splitMetrics.spillover(spilloverFrom))
        }
        return decision.revision
    }

    /// Counts what a header or cookie decided.
    private func route(_ model: WorkerModel, to revision: Int) -> Int {
        shard.add(model.splitMetrics.matches(revision))
        return revision
    }

    /// Why a request that must go to `revision` can't be answered.
    func noBackend(_ revision: WorkerRevision, _ model: WorkerModel) -> ErrorReply {
        .noBackend(
            model.plan.name,
            revision: model.revisions.count > 1 ? revision.plan.name : nil
        )
    }

    private func revision(named name: UnsafeRawBufferPointer, of model: WorkerModel) -> Int? {
        model.revisions.firstIndex { unsafe $0.name.bytes.elementsEqual(name) }
    }
}
