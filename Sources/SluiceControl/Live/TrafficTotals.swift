package import SluiceCore
import SluiceGateway
package import SluiceTelemetry

/// Names one revision of one model.
package struct RevisionKey: Hashable, Sendable {
    package let model: String
    package let revision: String

    /// The revision called `revision` of `model`.
    package init(_ model: String, _ revision: String) {
        self.model = model
        self.revision = revision
    }
}

/// Names one backend of one revision.
package struct BackendKey: Hashable, Sendable {
    package let revision: RevisionKey
    /// Its address, as metrics call it.
    package let backend: String

    /// The backend called `backend` of a revision.
    package init(_ revision: RevisionKey, _ backend: String) {
        self.revision = revision
        self.backend = backend
    }
}

/// All that has been counted since the process began, at one moment.
package struct TrafficTotals: Sendable {
    /// What one revision has counted.
    package struct Revision: Sendable, Equatable {
        /// Requests answered.
        package var requests: UInt64 = 0
        /// Those of them that failed on our side or the backend's.
        package var errors: UInt64 = 0
        /// Attempts at its backends.
        package var backendRequests: UInt64 = 0
        /// Requests the gateway turned away.
        package var rejected: UInt64 = 0
        /// Second copies that were sent and are over, and those of them that won.
        package var hedges: UInt64 = 0
        package var hedgesWon: UInt64 = 0
        /// Requests by duration, as ``LatencyBuckets/bounds`` cut them, and one place more.
        package var buckets = [UInt64](repeating: 0, count: LatencyBuckets.bounds.count + 1)
        /// Requests that are under way; a level, not a count.
        package var inFlight = 0

        /// Nothing counted yet.
        package init() {}
    }

    /// What one model's cache has counted.
    package struct Cache: Sendable, Equatable {
        package var memoryHits: UInt64 = 0
        package var memoryMisses: UInt64 = 0
        package var redisHits: UInt64 = 0
        package var redisMisses: UInt64 = 0
        package var redisErrors: UInt64 = 0
        /// Misses of memory that waited for another request's answer.
        package var collapsed: UInt64 = 0

        /// Nothing counted yet.
        package init() {}
    }

    /// When they were read.
    package var taken: Instant
    package var revisions: [RevisionKey: Revision] = [:]
    package var caches: [String: Cache] = [:]
    package var backends: [BackendKey: UInt64] = [:]

    /// Nothing counted yet.
    package init(taken: Instant) { self.taken = taken }

    /// Reads the store; workers count on meanwhile.
    package init(of store: MetricStore, taken: Instant) {
        self.init(taken: taken)
        for series in store.readings(of: GatewayMetrics.requests) {
            guard case .counter(let count) = series.value else { continue }
            let key = RevisionKey(series.labels[0], series.labels[1])
            revisions[key, default: Revision()].requests += count
            if TrafficTotals.isServerError(code: series.labels[3]) {
                revisions[key, default: Revision()].errors += count
            }
        }
        for series in store.readings(of: GatewayMetrics.requestDuration) {
            guard case .histogram(let reading) = series.value else { continue }
            let key = RevisionKey(series.labels[0], series.labels[1])
            for (place, count) in reading.buckets.enumerated() {
                revisions[key, default: Revision()].buckets[place] += count
            }
        }
        for series in store.readings(of: GatewayMetrics.requestsInFlight) {
            guard case .gauge(let level) = series.value else { continue }
            let key = RevisionKey(series.labels[0], series.labels[1])
            revisions[key, default: Revision()].inFlight = max(0, Int(level))
        }
        for series in store.readings(of: GatewayMetrics.backendRequests) {
            guard case .counter(let count) = series.value else { continue }
            let key = RevisionKey(series.labels[0], series.labels[1])
            revisions[key, default: Revision()].backendRequests += count
            backends[BackendKey(key, series.labels[2]), default: 0] += count
        }
        for series in store.readings(of: GatewayMetrics.rejected) {
            guard case .counter(let count) = series.value else { continue }
            let key = RevisionKey(series.labels[0], series.labels[1])
            revisions[key, default: Revision()].rejected += count
        }
        for series in store.readings(of: GatewayMetrics.hedges) where series.labels[2] != "skipped"
        {
            guard case .counter(let count) = series.value else { continue }
            let key = RevisionKey(series.labels[0], series.labels[1])
            revisions[key, default: Revision()].hedges += count
            if series.labels[2] == "won" { revisions[key, default: Revision()].hedgesWon += count }
        }
        for series in store.readings(of: GatewayMetrics.cacheRequests) {
            guard case .counter(let count) = series.value else { continue }
            let model = series.labels[0]
            switch (series.labels[1], series.labels[2]) {
            case ("memory", "hit"): caches[model, default: Cache()].memoryHits += count
            case ("memory", "miss"): caches[model, default: Cache()].memoryMisses += count
            case ("memory", "collapsed"): caches[model, default: Cache()].collapsed += count
            case ("redis", "hit"): caches[model, default: Cache()].redisHits += count
            case ("redis", "miss"): caches[model, default: Cache()].redisMisses += count
            case ("redis", "error"): caches[model, default: Cache()].redisErrors += count
            default: break
            }
        }
    }

    /// Whether a code, as metrics write it, means a failure that isn't the caller's.
    package static func isServerError(code: String) -> Bool {
        switch code {
        case "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS": true
        default: code.count == 3 && code.first == "5"
        }
    }
}
