import SluiceBalancing
import SluiceConfiguration

/// The rate limiters in use: who is configured as before goes on counting as before.
struct RateLimiterRegistry: Sendable {
    private struct Key: Hashable {
        let model: String
        let limit: RateLimit
    }

    private var limiters: [Key: RateLimiter] = [:]

    /// The limiters of a model, those that are known and those that are new.
    mutating func limiters(of model: Configuration.Model) -> [RateLimiter] {
        model.rateLimits.map { limit in
            let key = Key(model: model.name, limit: limit)
            let limiter = limiters[key] ?? RateLimiter(limit)
            limiters[key] = limiter
            return limiter
        }
    }

    /// Forgets what no model has any more.
    mutating func keepOnly(_ models: [Configuration.Model]) {
        limiters = limiters.filter { entry in
            models.contains {
                $0.name == entry.key.model && $0.rateLimits.contains(entry.key.limit)
            }
        }
    }
}
