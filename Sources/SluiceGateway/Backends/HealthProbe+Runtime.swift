import SluiceGRPC
import SluiceInference

// What a backend that is well is asked besides: what it is, when it has come up, and what its model takes
// and gives, where that must be known.
extension HealthProbe {
    /// Asks what isn't known yet; false when all is.
    func asksMore(_ key: UInt, _ target: Target) -> Bool {
        guard let metadata = target.plan.metadata else { return false }
        if target.wantsRuntime, metadata.runtimes != nil, target.runtimePauseLeft == 0 {
            target.inquiry = RuntimeInquiry(
                isReadyInV2: target.plan.probePathV1 != nil && target.readiness == .ready,
                hasTensors: metadata.slot.configured != nil
            )
            ask(key, target, .runtime(.server))
            return true
        }
        target.runtimePauseLeft = max(0, target.runtimePauseLeft - 1)
        return asksDescription(key, target, metadata.runtimes?.runtime ?? metadata.runtime)
    }

    /// Asks for the model's description where V1 meets V2, if it isn't known yet.
    private func asksDescription(_ key: UInt, _ target: Target, _ runtime: Runtime) -> Bool {
        guard let slot = target.plan.metadata?.slot, slot.signature == nil, !target.isUndescribed,
            target.isGRPC || !runtime.speaksV1 || !runtime.speaksV2
        else { return false }
        ask(key, target, .description)
        return true
    }

    /// Takes an answer to the check of what the backend is.
    func learn(
        _ key: UInt,
        _ target: Target,
        _ check: RuntimeInquiry.Check,
        isGood: Bool
    ) {
        let step =
            target.isGRPC
            ? HealthProbe.step(target, isGood: isGood)
            : target.inquiry.take(
                check,
                // What broke off after its head tells nothing.
                status: isGood || target.status >= 300 ? target.status : 0,
                target.answer
            )
        switch step {
        case .ask(let next): ask(key, target, .runtime(next))
        case .open:
            pause(target)
            rest(key, target)
        case .found(let runtime, let isSettled):
            target.wantsRuntime = !isSettled
            if !isSettled { pause(target) }
            if let slot = target.plan.metadata?.runtimes, slot.note(runtime, of: target.plan.label)
            {
                tellLearned()
            }
            if !asksDescription(key, target, runtime) { rest(key, target) }
        }
    }

    // At the usual interval that is five minutes.
    private static let runtimePauseMaximum = 64

    /// Leaves a server that doesn't tell what it is alone for a while: its log fills with checks.
    private func pause(_ target: Target) {
        target.runtimePause = min(
            max(1, 2 * target.runtimePause),
            HealthProbe.runtimePauseMaximum
        )
        target.runtimePauseLeft = target.runtimePause
    }

    /// What a gRPC server's description comes to: one that has none is like any other.
    private static func step(_ target: Target, isGood: Bool) -> RuntimeInquiry.Step {
        let message = Array(target.answer.dropFirst(5))
        let server =
            isGood ? unsafe message.withUnsafeBytes { unsafe ServerDescription(protobuf: $0) } : nil
        return .found(
            Runtime(server?.namedKind ?? .generic),
            isSettled: isGood || target.status == 200
        )
    }

    /// Keeps what a backend said of its model; what can't be read is asked for again later.
    func describe(_ target: Target, isGood: Bool) {
        guard isGood else {
            // A V1 server that has no such path gets none while it runs.
            target.isUndescribed =
                !target.isGRPC && !HealthProbe.runtime(of: target).speaksV2
                && RuntimeInquiry.absent.contains(target.status)
            return
        }
        let signature =
            target.isGRPC
            ? unsafe Array(target.answer.dropFirst(5)).withUnsafeBytes {
                unsafe try? ModelSignature(protobuf: $0)
            } : try? ModelSignature(json: target.answer)
        if let signature { target.plan.metadata?.slot.fill(signature) }
    }

    /// Says that the gateway knows its backends, once each has been asked and what was found is in force.
    func noteProbed() {
        if !isTelling, targets.values.allSatisfy(\.hasAnswered) { readiness.markProbed() }
    }

    /// Tells that backends were found to be something else; only once until that is taken over.
    func tellLearned() {
        hasMore = true
        guard !isTelling else { return }
        isTelling = true
        hasMore = false
        learned()
    }

    /// What was told is in force now, or can't be; `isToRetry` tells it again when a probe has ended.
    package func takenOver(isToRetry: Bool = false) {
        isTelling = false
        if isToRetry {
            hasMore = true
            noteProbed()
        } else if hasMore {
            tellLearned()
        } else {
            noteProbed()
        }
    }

    /// What the backend is, as far as it is known.
    static func runtime(of target: Target) -> Runtime {
        guard let metadata = target.plan.metadata else { return Runtime(.generic) }
        return metadata.runtimes?.runtime ?? metadata.runtime
    }

    /// The path of a check that isn't for health.
    static func path(_ check: RuntimeInquiry.Check, _ model: String) -> String {
        let name = PathSegment.escaped(model)
        return switch check {
        case .server: "/v2"
        case .statusV1: "/v1/models/\(name)"
        case .predictV1: "/v1/models/\(name):predict"
        case .metadataV2: "/v2/models/\(name)"
        }
    }

    /// The method of a check over gRPC.
    static func method(_ check: Check) -> GRPCMethod {
        switch check {
        case .description: .modelMetadata
        case .runtime: .serverMetadata
        case .ready, .readyV1, .readyByMethod: .serverReady
        }
    }
}

extension HealthProbe.Check {
    /// Whether it isn't for health.
    var isOfMetadata: Bool {
        switch self {
        case .description, .runtime: true
        case .ready, .readyV1, .readyByMethod: false
        }
    }
}
