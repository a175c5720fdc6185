package import SluiceCore

/// How a revision's requests are spread over its backends.
package enum LoadBalancing: String, Sendable, CaseIterable {
    /// The backend with the fewest requests in flight; ties are broken at random.
    case leastRequest
    /// One after the other.
    case roundRobin
    /// Any, uniformly.
    case random
}

/// Chooses a backend; pure but for the counters it reads.
///
/// Up to 32 backends `leastRequest` scans them all, above that it compares two drawn at random:
/// a full scan halves p99 against two choices on mixed loads, and its cost grows with the fleet. A
/// random tie-break is essential: a fixed order sends every burst to the first idle backend.
package struct BackendPicker: Sendable {
    private let algorithm: LoadBalancing
    private var cursor: Int
    private static let scanMaximum = 32

    /// A picker; `start` spreads the round-robin turns of different workers.
    package init(_ algorithm: LoadBalancing, start: Int = 0) {
        self.algorithm = algorithm
        cursor = start
    }

    /// The number of the backend to use, or nil when none is eligible.
    ///
    /// Backends that are down, that `excluded` has a bit for (already tried; the first 64 can be
    /// excluded), or that `isEligible` rules out are passed over. At most two passes.
    package mutating func pick(
        from backends: [BackendLoad], eligible: UInt64, excluded: UInt64,
        random: inout RandomSource
    ) -> Int? {
        switch algorithm {
        case .leastRequest:
            return backends.count <= BackendPicker.scanMaximum
                ? scan(backends, eligible & ~excluded, &random)
                : twoChoices(backends, eligible & ~excluded, &random)
        case .roundRobin:
            for step in 0..<backends.count {
                let index = (cursor + step) % backends.count
                if usable(index, backends, eligible & ~excluded) {
                    cursor = (index + 1) % backends.count
                    return index
                }
            }
            return nil
        case .random: return any(backends, eligible & ~excluded, &random)
        }
    }

    private func usable(_ index: Int, _ backends: [BackendLoad], _ allowed: UInt64) -> Bool {
        (index >= 64 || allowed >> UInt64(index) & 1 == 1) && backends[index].health != .down
    }

    private func scan(
        _ backends: [BackendLoad], _ allowed: UInt64, _ random: inout RandomSource
    ) -> Int? {
        var best: Int?
        var bestLoad = Int.max
        var ties = 0
        for index in backends.indices where usable(index, backends, allowed) {
            let load = backends[index].inFlight
            if load < bestLoad {
                (best, bestLoad, ties) = (index, load, 1)
            } else if load == bestLoad {
                // Reservoir sampling: each of the tied ends up chosen with equal chance.
                ties += 1
                if random.next(below: ties) == 0 { best = index }
            }
        }
        return best
    }

    private func twoChoices(
        _ backends: [BackendLoad], _ allowed: UInt64, _ random: inout RandomSource
    ) -> Int? {
        guard let first = any(backends, allowed, &random),
            let second = any(backends, allowed, &random)
        else { return nil }
        return backends[second].inFlight < backends[first].inFlight ? second : first
    }

    /// A usable backend at random: from a random place on, the first usable one.
    ///
    /// Among usable neighbours this favours those behind gaps; draws are repeated a few times
    /// first, so that it matters only when most are down.
    private func any(
        _ backends: [BackendLoad], _ allowed: UInt64, _ random: inout RandomSource
    ) -> Int? {
        guard !backends.isEmpty else { return nil }
        for _ in 0..<4 {
            let index = random.next(below: backends.count)
            if usable(index, backends, allowed) { return index }
        }
        let start = random.next(below: backends.count)
        for step in 0..<backends.count {
            let index = (start + step) % backends.count
            if usable(index, backends, allowed) { return index }
        }
        return nil
    }
}
