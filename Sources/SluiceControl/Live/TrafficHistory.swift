// What is remembered
// ------------------
// The store only counts up, so a rate is the difference of two readings. The last few readings are
// kept whole: the numbers "now" are what happened between the oldest of them and the newest, five
// seconds in all, so that a model asked ten times a second still has a p99 worth the name and a
// shift shows within a second. Of what is older only the finished numbers stay, in a ring with one
// place a second: 24 bytes a revision and second, 7 KiB for five minutes. Nothing is kept for a
// name that the configuration no longer has.

import SluiceCore
package import SluiceTelemetry

/// The numbers of now and of the last minutes, made of readings; reads no clock and no counter.
package struct TrafficHistory: Sendable {
    /// What one revision did in one second of the past; `nan` where there is no number.
    package struct Point: Sendable, BitwiseCopyable {
        package var requestsPerSecond = Float.nan
        package var errorRatio = Float.nan
        package var p50Seconds = Float.nan
        package var p99Seconds = Float.nan
        package var inFlight = Float.nan
        package var backendRequestsPerSecond = Float.nan
    }

    /// The past of one model, oldest first; all lists are as long as `times`.
    package struct Past: Sendable {
        package var times: [WallTime]
        package var revisions: [(name: String, points: [Point])]
        /// The share of look-ups that the cache answered; `nan` where there were none.
        package var hitRatios: [Float]
    }

    /// Models and the names of their revisions, in order: what numbers are kept of.
    package typealias Names = [(model: String, revisions: [String])]

    /// How many points the past has, at most.
    package let capacity: Int
    /// How many readings the numbers of now span.
    package let windowLength: Int
    /// What goes on now.
    package private(set) var present = LivePresent()

    private var readings: [TrafficTotals] = []
    private var count = 0
    private var times: [WallTime]
    private var revisions: [RevisionKey: [Point]] = [:]
    private var caches: [String: [Float]] = [:]

    /// An empty history of `capacity` points whose numbers span `windowLength` intervals.
    package init(capacity: Int = 300, windowLength: Int = 5) {
        precondition(capacity > 0 && windowLength > 0, "a history remembers something")
        self.capacity = capacity
        self.windowLength = windowLength
        times = Array(repeating: WallTime(nanoseconds: 0), count: capacity)
    }

    /// Takes a reading at `time`, in the order of time.
    package mutating func record(_ totals: TrafficTotals, at time: WallTime, of names: Names) {
        let earlier = readings.first ?? totals
        let seconds = Double(totals.taken.nanoseconds(since: earlier.taken)) / 1e9
        let place = count % capacity
        times[place] = time
        count += 1
        present = LivePresent()
        for (model, list) in names {
            for name in list {
                let key = RevisionKey(model, name)
                present.revisions[key] = LiveNumbers(
                    from: earlier.revisions[key] ?? TrafficTotals.Revision(),
                    to: totals.revisions[key] ?? TrafficTotals.Revision(),
                    seconds: seconds
                )
            }
            let unknownName = RevisionKey(model, "-")
            present.unknown[model] = LiveNumbers(
                from: earlier.revisions[unknownName] ?? TrafficTotals.Revision(),
                to: totals.revisions[unknownName] ?? TrafficTotals.Revision(),
                seconds: seconds
            )
            present.caches[model] = CacheNumbers(
                from: earlier.caches[model] ?? TrafficTotals.Cache(),
                to: totals.caches[model] ?? TrafficTotals.Cache(),
                seconds: seconds
            )
        }
        if seconds > 0 {
            for (key, total) in totals.backends where present.revisions[key.revision] != nil {
                let growth = Growth.between(earlier.backends[key] ?? 0, total)
                present.backends[key] = Double(growth) / seconds
            }
        }
        remember(at: place)
        readings.append(totals)
        if readings.count > windowLength { readings.removeFirst() }
    }

    private mutating func remember(at place: Int) {
        let (revisions, caches) = (present.revisions, present.caches)
        self.revisions = self.revisions.filter { revisions[$0.key] != nil }
        self.caches = self.caches.filter { caches[$0.key] != nil }
        for (key, numbers) in revisions {
            let point = Point(
                requestsPerSecond: Float(numbers.requestsPerSecond),
                errorRatio: numbers.errorRatio.map(Float.init) ?? .nan,
                p50Seconds: numbers.p50Seconds.map(Float.init) ?? .nan,
                p99Seconds: numbers.p99Seconds.map(Float.init) ?? .nan,
                inFlight: Float(numbers.inFlight),
                backendRequestsPerSecond: Float(numbers.backendRequestsPerSecond)
            )
            self.revisions[key, default: Array(repeating: Point(), count: capacity)][place] = point
        }
        for (model, numbers) in caches {
            let ratio = numbers.hitRatio.map(Float.init) ?? .nan
            self.caches[model, default: Array(repeating: .nan, count: capacity)][place] = ratio
        }
    }

    /// The past of `model`, whose revisions are `names`.
    package func past(of model: String, revisions names: [String]) -> Past {
        let length = min(count, capacity)
        let places = (0..<length).map { (count - length + $0) % capacity }
        let nothing = Array(repeating: Point(), count: capacity)
        return Past(
            times: places.map { times[$0] },
            revisions: names.map { name in
                let points = revisions[RevisionKey(model, name)] ?? nothing
                return (name, places.map { points[$0] })
            },
            hitRatios: places.map { caches[model]?[$0] ?? .nan }
        )
    }
}
