import SluiceBalancing
import SluiceCore
import SluiceGateway
import SluiceWire

// What limits a model's callers and revisions, and what is sent twice: as it is configured, and as it
// goes now. Absent features are an empty list, or null.
extension StatusReport {
    /// The model's members.
    static func limits(of model: ModelPlan, _ live: LivePresent) -> [JSONValue.Member] {
        let callers = live.unknown[model.name] ?? LiveNumbers()
        return [
            .init("rateLimits", .array(model.resilience.rateLimiters.map(rateLimit))),
            .init("rateLimitedPerSecond", .rounded(callers.rejectedPerSecond)),
            .init("hedge", model.resilience.hedge.map(hedge) ?? .null),
        ]
    }

    /// How many requests the revision takes at once, where that is learnt.
    static func concurrency(of revision: RevisionPlan) -> JSONValue {
        let learnt = revision.board.concurrency
        guard let limit = learnt.limit else { return .null }
        return .object([
            .init("limit", .number("\(limit)")), .init("inUse", .number("\(learnt.inFlight)")),
        ])
    }

    private static func rateLimit(_ limiter: RateLimiter) -> JSONValue {
        let scope =
            switch limiter.limit.scope {
            case .model: "model"
            case .client: "client"
            case .header(let name): "header \(name)"
            }
        return .object([
            .init("rate", .string(limiter.limit.rateText)),
            .init("burst", .number("\(limiter.limit.burst)")),
            .init("per", .string(scope)),
            .init("callers", .number("\(limiter.keyCount)")),
        ])
    }

    private static func hedge(_ policy: HedgePolicy) -> JSONValue {
        .object([
            .init("delaySeconds", .rounded(policy.delay.inSeconds)),
            .init("maxAttempts", .number("\(policy.maxAttempts)")),
        ])
    }
}
