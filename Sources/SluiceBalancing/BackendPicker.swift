package import SluiceCore

/// How a revision's requests are spread over its backends.
package enum LoadBalancing: String, Sendable, CaseIterable {
    /// The backend with the fewest requests in flight; ties are broken at random.
    case leastRequest
    /// One after the other.
    case roundRobin
    /// Any, uniformly.
    case random
    /// The cheaper of two drawn at random; cost is latency times requests in flight.
    case peakEwma
    /// The same backend for the same key, unless it has too much to do.
    case ringHash
}

/// What a policy keeps of each backend that the others have no use for, in a word of its own.
package enum PolicyWord: Int, Sendable {
    /// A ``LatencyRecord``, of `peakEwma`.
    case latency
}

/// What all algorithms heed.
package struct BalancingOptions: Sendable, Equatable {
    /// How long a backend that came up takes to get its whole share; zero is at once.
    package var slowStart = Duration.zero
    /// Below this share of usable backends all are used; 0 never does.
    package var panicPercent = 50

    /// The defaults.
    package init() {}
}

/// Chooses a backend; pure but for the counters it reads.
///
/// `leastRequest` compares `((in-flight + 1) x penalty - 1) / weight`: the penalty for failures is
/// explained in ``FailureRecord``, and the 1 that is taken off makes idle backends equal whatever
/// their weights, so that ties, broken by chance in proportion to the weights, share idle times
/// fairly too. Up to 32 backends it scans them all, above that it compares two drawn at random:
/// a full scan halves p99 against two choices on mixed loads, and its cost grows with the fleet. A
/// random tie-break is essential: a fixed order sends every burst to the first idle backend.
package struct BackendPicker: Sendable {
    private let algorithm: LoadBalancing
    private let weights: [Int]
    private let slowStart: Int64
    private let panicPercent: Int
    private let ring: HashRing?
    private var cursor: Int
    /// What smooth weighted round robin owes each backend; empty while all weigh the same.
    private var credits: [Int] = []
    /// The walk over the ring, by its number, in which each backend was last met.
    private var met: [UInt32] = []
    private var walkCount: UInt32 = 0
    private static let scanMaximum = 32

    /// A picker; `start` spreads the round-robin turns of different workers.
    ///
    /// - Parameters:
    ///   - algorithm: how to choose.
    ///   - weights: each backend's weight, where they differ; 0 takes no request.
    ///   - ring: the ring of ``LoadBalancing/ringHash``.
    ///   - options: what all algorithms heed.
    ///   - start: where round robin begins.
    package init(
        _ algorithm: LoadBalancing,
        weights: [Int] = [],
        ring: HashRing? = nil,
        options: BalancingOptions = BalancingOptions(),
        start: Int = 0
    ) {
        self.algorithm = algorithm
        self.weights = Set(weights).count > 1 || weights.contains(0) ? weights : []
        self.ring = ring
        slowStart = options.slowStart.nanoseconds
        panicPercent = options.panicPercent
        cursor = start
        if !self.weights.isEmpty { credits = weights.map { _ in 0 } }
        if let ring { met = [UInt32](repeating: 0, count: ring.hostCount) }
    }

    /// Who may be picked in this call.
    ///
    /// Most revisions have at most 64 backends, and then the members are one word: sets of any size have
    /// arrays, whose references each pick would count.
    private struct Field<Members: PickedMembers> {
        /// Eligible and not excluded.
        let members: Members
        let now: Instant
        /// Backends with as many requests as they may have are passed over.
        let hasRoom: Bool
        var trustsHealth = true
        /// Whether somebody was passed over because of its health.
        var metUnhealthy = false
    }

    /// The number of the backend to use, or nil when none is eligible.
    ///
    /// Backends that are down or ejected, that `excluded` has (already tried), or that `eligible`
    /// hasn't are passed over; `hasRoom` passes over those at their limit as well. Where less than `panicPercent` of the eligible backends are usable,
    /// health isn't believed any more: the few would only fall, too. Only when all are known to be
    /// down is there no choice.
    package mutating func pick(
        from backends: [BackendLoad],
        eligible: BackendSet,
        excluded: BackendSet,
        hasRoom: Bool = false,
        key: UInt64? = nil,
        now: Instant,
        random: inout RandomSource
    ) -> Int? {
        guard backends.count > 64 else {
            return pick(
                from: backends,
                eligible: eligible.first,
                excluded: excluded.first,
                hasRoom: hasRoom,
                key: key,
                now: now,
                random: &random
            )
        }
        let members = ManyMembers(eligible: eligible, excluded: excluded)
        var field = Field(members: members, now: now, hasRoom: hasRoom)
        return pick(from: backends, &field, key, &random)
    }

    /// The same from at most 64 backends, a bit for each.
    package mutating func pick(
        from backends: [BackendLoad],
        eligible: UInt64,
        excluded: UInt64,
        hasRoom: Bool = false,
        key: UInt64? = nil,
        now: Instant,
        random: inout RandomSource
    ) -> Int? {
        let members = FewMembers(bits: eligible & ~excluded, eligible: eligible)
        var field = Field(members: members, now: now, hasRoom: hasRoom)
        return pick(from: backends, &field, key, &random)
    }

    private mutating func pick<Members: PickedMembers>(
        from backends: [BackendLoad],
        _ field: inout Field<Members>,
        _ key: UInt64?,
        _ random: inout RandomSource
    ) -> Int? {
        let choice = choose(backends, &field, key, &random)
        guard field.metUnhealthy,
            BackendPicker.isPanic(
                backends,
                eligible: field.members.eligibleSet,
                percent: panicPercent,
                at: field.now
            )
        else { return choice }
        field.trustsHealth = false
        return choose(backends, &field, key, &random) ?? choice
    }

    /// The same for another copy of a request that has had its turn: nobody's turn moves on, so that
    /// the next request gets whom it would have had.
    package func pickOutOfTurn(
        from backends: [BackendLoad],
        eligible: BackendSet,
        excluded: BackendSet,
        hasRoom: Bool = false,
        key: UInt64? = nil,
        now: Instant,
        random: inout RandomSource
    ) -> Int? {
        var same = self
        return same.pick(
            from: backends,
            eligible: eligible,
            excluded: excluded,
            hasRoom: hasRoom,
            key: key,
            now: now,
            random: &random
        )
    }

    /// Whether so few of the eligible backends (nil: of all) are usable that all are used.
    package static func isPanic(
        _ backends: [BackendLoad],
        eligible: BackendSet? = nil,
        percent: Int,
        at now: Instant
    ) -> Bool {
        var (total, usable, standing) = (0, 0, 0)
        for index in backends.indices where eligible?.contains(index) ?? true {
            total += 1
            if backends[index].isUsable(at: now) { usable += 1 }
            if backends[index].health != .down { standing += 1 }
        }
        return usable * 100 < total * percent && standing > 0
    }

    private mutating func choose<Members: PickedMembers>(
        _ backends: [BackendLoad],
        _ field: inout Field<Members>,
        _ key: UInt64?,
        _ random: inout RandomSource
    ) -> Int? {
        switch algorithm {
        case .leastRequest:
            return backends.count <= BackendPicker.scanMaximum
                ? scan(backends, &field, &random) : twoChoices(backends, &field, &random)
        case .roundRobin:
            return credits.isEmpty
                ? nextInTurn(backends, &field) : nextByCredit(backends, &field)
        case .random: return any(backends, &field, &random)
        case .peakEwma: return twoChoices(backends, &field, &random)
        case .ringHash:
            guard let key, let ring else {
                return backends.count <= BackendPicker.scanMaximum
                    ? scan(backends, &field, &random) : twoChoices(backends, &field, &random)
            }
            return clockwise(ring, key, backends, &field)
        }
    }

    private func usable<Members: PickedMembers>(
        _ index: Int,
        _ backends: [BackendLoad],
        _ field: inout Field<Members>
    ) -> Bool {
        guard field.members.contains(index) else { return false }
        if !weights.isEmpty, weights[index] == 0 { return false }
        if field.trustsHealth, !backends[index].isUsable(at: field.now) {
            field.metUnhealthy = true
            return false
        }
        return !field.hasRoom || !backends[index].isFull
    }

    // MARK: - Scores

    /// A backend's load as a fraction; fractions are compared by cross-multiplication.
    private struct Score {
        var load: Int
        var weight: Int

        static func < (left: Score, right: Score) -> Bool {
            left.load &* right.weight < right.load &* left.weight
        }
    }

    // Room to multiply: a load below 2^41 times a weight below 2^20.
    private static let loadMaximum = 1 << 41

    private func weight(_ index: Int, _ backends: [BackendLoad], _ now: Instant) -> Int {
        let weight = weights.isEmpty ? 1 : weights[index]
        guard slowStart > 0 else { return weight << 8 }
        return weight * backends[index].warmth(at: now, window: slowStart)
    }

    private func score(_ index: Int, _ backends: [BackendLoad], _ now: Instant) -> Score {
        let backend = backends[index]
        let penalty =
            backend.hasFailures
            ? backend.failures.penalty(at: now) : FailureRecord.noPenalty
        var load = (backend.inFlight + 1) * penalty
        if algorithm == .peakEwma {
            load = load.multipliedReportingOverflow(by: backend.latency.units(at: now)).partialValue
        } else {
            load -= FailureRecord.noPenalty
        }
        return Score(
            load: min(max(load, 0), BackendPicker.loadMaximum),
            weight: weight(index, backends, now)
        )
    }

    // MARK: - Algorithms

    private func scan<Members: PickedMembers>(
        _ backends: [BackendLoad],
        _ field: inout Field<Members>,
        _ random: inout RandomSource
    ) -> Int? {
        var best: Int?
        var bestScore = Score(load: 0, weight: 1)
        var tiedWeight = 0
        for index in backends.indices where usable(index, backends, &field) {
            let score = score(index, backends, field.now)
            if best == nil || score < bestScore {
                (best, bestScore, tiedWeight) = (index, score, score.weight)
            } else if !(bestScore < score) {
                // Reservoir sampling: each of the tied ends up chosen in proportion to its weight.
                tiedWeight += score.weight
                if random.next(below: tiedWeight) < score.weight { best = index }
            }
        }
        return best
    }

    private func twoChoices<Members: PickedMembers>(
        _ backends: [BackendLoad],
        _ field: inout Field<Members>,
        _ random: inout RandomSource
    ) -> Int? {
        guard let first = any(backends, &field, &random),
            let second = any(backends, &field, &random)
        else { return nil }
        return score(second, backends, field.now) < score(first, backends, field.now)
            ? second : first
    }

    private mutating func nextInTurn<Members: PickedMembers>(
        _ backends: [BackendLoad],
        _ field: inout Field<Members>
    ) -> Int? {
        for step in 0..<backends.count {
            let index = (cursor + step) % backends.count
            if usable(index, backends, &field) {
                cursor = (index + 1) % backends.count
                return index
            }
        }
        return nil
    }

    /// Smooth weighted round robin (nginx).
    ///
    /// Everybody earns its weight, the richest is chosen and pays what all earned. Weights 5, 1, 1 give a a b a c a a, not a a a a a b c.
    private mutating func nextByCredit<Members: PickedMembers>(
        _ backends: [BackendLoad],
        _ field: inout Field<Members>
    ) -> Int? {
        var best: Int?
        var total = 0
        for index in backends.indices where usable(index, backends, &field) {
            credits[index] += weights[index]
            total += weights[index]
            if best == nil || credits[index] > credits[best ?? index] { best = index }
        }
        if let best { credits[best] -= total }
        return best
    }

    /// A usable backend at random.
    ///
    /// A few are drawn from all; where none of these will do, as when few are usable, one is drawn
    /// from the usable ones, which takes a look at each.
    private func any<Members: PickedMembers>(
        _ backends: [BackendLoad],
        _ field: inout Field<Members>,
        _ random: inout RandomSource
    ) -> Int? {
        guard !backends.isEmpty else { return nil }
        // Under weights, and while somebody warms up, a draw is taken by as much as it weighs.
        let heaviest = weights.isEmpty && slowStart == 0 ? 0 : (weights.max() ?? 1) << 8
        for _ in 0..<(heaviest == 0 ? 4 : 32) {
            let index = random.next(below: backends.count)
            guard usable(index, backends, &field) else { continue }
            if heaviest == 0
                || random.next(below: heaviest) < weight(index, backends, field.now)
            {
                return index
            }
        }
        var (chosen, total): (Int?, Int) = (nil, 0)
        for index in backends.indices where usable(index, backends, &field) {
            let share = heaviest == 0 ? 1 : weight(index, backends, field.now)
            total += share
            // Reservoir sampling, as in `scan`; the first stays if nothing weighs anything.
            if chosen == nil || random.next(below: max(total, 1)) < share { chosen = index }
        }
        return chosen
    }

    /// The first backend clockwise of the key that hasn't more than 1.25 times the mean to do.
    private mutating func clockwise<Members: PickedMembers>(
        _ ring: HashRing,
        _ key: UInt64,
        _ backends: [BackendLoad],
        _ field: inout Field<Members>
    ) -> Int? {
        var (total, share) = (1, 0)
        for index in backends.indices where usable(index, backends, &field) {
            total += backends[index].inFlight
            share += weights.isEmpty ? 1 : weights[index]
        }
        guard share > 0 else { return nil }
        var first: Int?
        var left = ring.hostCount
        beginWalk()
        for index in ring.hosts(clockwiseOf: key) where met[index] != walkCount {
            met[index] = walkCount
            left -= 1
            guard usable(index, backends, &field) else {
                if left == 0 { break }
                continue
            }
            let weight = weights.isEmpty ? 1 : weights[index]
            // in-flight + 1 <= 1.25 x mean, rounded up so that one request always fits.
            if backends[index].inFlight * 4 * share < 5 * total * weight { return index }
            if first == nil { first = index }
            if left == 0 { break }
        }
        return first
    }

    /// Another walk, in which no backend has been met yet.
    private mutating func beginWalk() {
        walkCount &+= 1
        guard walkCount == 0 else { return }
        for index in met.indices { met[index] = 0 }
        walkCount = 1
    }
}
