// The requests that are asked most
// --------------------------------
// The cache keeps answers under a digest that can't be turned back into a request, and under another
// digest for every revision; to fill a new revision's cache, the requests themselves are needed. The
// table keeps those of the `capacity` most frequent, the least frequent of them on top of a heap. All
// others are only counted, in a sketch beside it, and one that is counted more often than the one on top
// takes its place. Counting in the heap alone (space-saving) was rejected: its error is the number of
// requests over the number of counters, which for 1,000 of 20,000 inputs by Zipf (0.9) is more than the
// thousandth's own share, and the lower half of the table came out as chance.
//
// Old fame fades: all counts are halved every five minutes. Halving keeps the heap's order.
package import SluiceCore

/// The most frequent requests, bounded in number and bytes.
package struct TopRequestTable<Request: Sendable>: Sendable {
    private struct Candidate: Sendable {
        let key: CacheKey
        var count: UInt32
        let request: Request
        let byteCount: Int
    }

    /// The largest request that is kept.
    package let maximumRequestBytes: Int
    /// What all kept requests may have in all.
    package let maximumBytes: Int
    /// What they have.
    package private(set) var byteCount = 0

    private let capacity: Int
    private var sketch: FrequencySketch
    /// The coldest first; children of `n` at `2n + 1` and `2n + 2`.
    private var heap: [Candidate] = []
    private var places: [CacheKey: Int] = [:]
    private var fades: Instant

    /// After this long, a count is worth half.
    package static var halfLife: Duration { .seconds(300) }

    /// An empty table for the `capacity` most frequent requests.
    ///
    /// Takes 256 bytes for each besides the requests, for the sketch.
    package init(
        capacity: Int,
        maximumRequestBytes: Int = 64 << 10,
        maximumBytes: Int = 16 << 20,
        at now: Instant
    ) {
        precondition(capacity > 0, "a table has room for something")
        self.capacity = capacity
        self.maximumRequestBytes = maximumRequestBytes
        self.maximumBytes = maximumBytes
        sketch = FrequencySketch(width: 16 * capacity)
        fades = now + TopRequestTable.halfLife
    }

    /// How many requests are kept.
    package var count: Int { heap.count }

    /// Counts a request that stands for `weight` like it; `request` is asked only if it is to be kept.
    package mutating func note(
        _ key: CacheKey,
        weight: Int,
        byteCount size: Int,
        at now: Instant,
        _ request: () -> Request
    ) {
        fade(now)
        let count = sketch.add(key, UInt32(clamping: weight))
        if let place = places[key] {
            heap[place].count = count
            sink(from: place)
            return
        }
        guard size <= maximumRequestBytes, heap.count < capacity || count > heap[0].count else {
            return
        }
        while byteCount + size > maximumBytes || heap.count == capacity {
            guard let coldest = heap.first, coldest.count < count else { return }
            removeColdest()
        }
        heap.append(Candidate(key: key, count: count, request: request(), byteCount: size))
        places[key] = heap.count - 1
        byteCount += size
        rise(from: heap.count - 1)
    }

    /// The `limit` most frequent requests, the most frequent first.
    package func mostFrequent(_ limit: Int) -> [Request] {
        heap.sorted { $0.count > $1.count }.prefix(limit).map(\.request)
    }

    private mutating func fade(_ now: Instant) {
        guard now >= fades else { return }
        let missed = now.nanoseconds(since: fades) / TopRequestTable.halfLife.nanoseconds
        // After 32 halves nothing is left.
        for _ in 0...min(missed, 31) {
            sketch.halve()
            for place in heap.indices { heap[place].count >>= 1 }
        }
        fades = fades.advanced(byNanoseconds: (missed + 1) * TopRequestTable.halfLife.nanoseconds)
    }

    // MARK: - The heap

    private mutating func removeColdest() {
        swap(0, heap.count - 1)
        let removed = heap.removeLast()
        places[removed.key] = nil
        byteCount -= removed.byteCount
        sink(from: 0)
    }

    private mutating func sink(from start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && heap[child].count < heap[least].count { least = child }
            guard least != place else { return }
            swap(place, least)
            place = least
        }
    }

    private mutating func rise(from start: Int) {
        var place = start
        while place > 0, heap[place].count < heap[(place - 1) / 2].count {
            swap(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func swap(_ one: Int, _ other: Int) {
        guard one != other else { return }
        heap.swapAt(one, other)
        places[heap[one].key] = one
        places[heap[other].key] = other
    }
}
