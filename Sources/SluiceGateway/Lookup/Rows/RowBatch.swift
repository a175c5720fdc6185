import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceInference

/// A request that is looked up row by row; kept while it waits, as part of its ``CacheableRequest``.
///
/// Equal rows have one *place*: they are looked up, asked for and kept once.
final class RowBatch {
    enum Mode {
        /// Places are being looked up.
        case looking
        /// The model is asked for ``asked`` in a request of ours.
        case partial
        /// The model is asked for everything, and its answer passes by as ever: to be cut at its end.
        case whole
        /// Its rows are left alone; the answer is kept whole.
        case off
    }

    var mode = Mode.looking
    /// The place of each row.
    let places: [Int]
    /// The key of each place.
    let keys: [CacheKey]
    /// The row in which each place comes first; ascends.
    let firsts: [Int]
    /// What is known of each place, to be served.
    var entries: [CacheEntry?]
    /// Entries past their time, should the call fail; empty while there is none.
    var staleEntries: [CacheEntry?] = []
    /// Places that tier 2 is asked for.
    var sought: [Int] = []
    /// Places that the model is asked for; ascends.
    var asked: [Int] = []
    /// The caller's own head and body while another is sent in their place.
    var head: FieldBlock?
    var body = PooledBytes()

    init(_ rows: [CacheKey]) {
        var known: [CacheKey: Int] = [:]
        known.reserveCapacity(rows.count)
        var (places, keys, firsts) = ([Int](), [CacheKey](), [Int]())
        places.reserveCapacity(rows.count)
        for (row, key) in rows.enumerated() {
            if let place = known[key] {
                places.append(place)
                continue
            }
            known[key] = keys.count
            places.append(keys.count)
            keys.append(key)
            firsts.append(row)
        }
        self.places = places
        self.keys = keys
        self.firsts = firsts
        entries = Array(repeating: nil, count: keys.count)
    }

    /// The same request once more, of which nothing is known.
    init(repeating other: RowBatch) {
        (places, keys, firsts) = (other.places, other.keys, other.firsts)
        entries = Array(repeating: nil, count: keys.count)
    }

    /// How many rows there are.
    var count: Int { places.count }

    /// The places of which nothing is known.
    var missing: [Int] { entries.indices.filter { entries[$0] == nil } }

    /// The entry of each row; nil unless all are known.
    var answers: [CacheEntry]? {
        var found: [CacheEntry] = []
        found.reserveCapacity(places.count)
        for place in places {
            guard let entry = entries[place] else { return nil }
            found.append(entry)
        }
        return found
    }

    /// Keeps an entry past its time for the case that the call fails.
    func staleEntry(_ entry: CacheEntry, at place: Int) {
        if staleEntries.isEmpty { staleEntries = Array(repeating: nil, count: keys.count) }
        staleEntries[place] = entry
    }

    /// Fills what isn't known with entries past their time; false, and nothing happens, when that
    /// doesn't answer everything.
    func useStaleEntries(at now: Instant) -> Bool {
        let gaps = missing
        guard !gaps.isEmpty, !staleEntries.isEmpty else { return false }
        for place in gaps {
            guard let staleEntry = staleEntries[place], now < staleEntry.lifetime.useUntil else {
                return false
            }
        }
        for place in gaps { entries[place] = staleEntries[place] }
        return true
    }
}

/// How a revision's backends answer, as far as rows are concerned; one worker's.
struct RowCachingState {
    /// Until then its rows are left alone: an answer couldn't be cut.
    var pausedUntil = Instant.zero
    /// What they write between rows.
    var separators = RowSeparators()

    /// How long rows are left alone after an answer that couldn't be cut.
    static let pause = Duration.seconds(30)
}

extension WorkerSnapshot {
    /// Takes over what was learnt of revisions that stay; weights may move every second.
    func keepRowCachingState(of old: WorkerSnapshot) {
        for model in models where model.plan.cache?.rows == true {
            guard let before = old.models.first(where: { $0.plan.name == model.plan.name }) else {
                continue
            }
            for revision in model.revisions {
                let same = before.revisions.first { $0.number == revision.number }
                if let same { revision.rows = same.rows }
            }
        }
    }
}

/// Why a request of a model with `rows` wasn't answered by rows.
enum RowFallback: Int, CaseIterable {
    /// Its inputs aren't rows, or it mustn't be cached.
    case request
    /// The answer couldn't be cut into rows, or put together.
    case answer
    /// It has too many rows, or what is known of them is too large.
    case limit

    var label: String {
        switch self {
        case .request: "request"
        case .answer: "answer"
        case .limit: "limit"
        }
    }
}
