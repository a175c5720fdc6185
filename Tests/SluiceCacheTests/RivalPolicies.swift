import SluiceCache

/// A cache of unit-sized entries that only says whether a request hits.
protocol RivalPolicy {
    mutating func request(_ key: Int) -> Bool
}

/// A queue of keys by last use, with removal anywhere.
struct RecencyList {
    private var links: [Int: (older: Int, newer: Int)] = [:]
    private var oldestKey = -1
    private var newestKey = -1

    var count: Int { links.count }
    var oldest: Int { oldestKey }

    func contains(_ key: Int) -> Bool { links[key] != nil }

    mutating func append(_ key: Int) {
        links[key] = (newestKey, -1)
        if newestKey >= 0 { links[newestKey]?.newer = key } else { oldestKey = key }
        newestKey = key
    }

    mutating func remove(_ key: Int) {
        guard let (older, newer) = links.removeValue(forKey: key) else { return }
        if older >= 0 { links[older]?.newer = newer } else { oldestKey = newer }
        if newer >= 0 { links[newer]?.older = older } else { newestKey = older }
    }
}

/// Least recently used.
struct LRU: RivalPolicy {
    let capacity: Int
    private var list = RecencyList()

    init(capacity: Int) { self.capacity = capacity }

    mutating func request(_ key: Int) -> Bool {
        let isHit = list.contains(key)
        if isHit { list.remove(key) } else if list.count == capacity { list.remove(list.oldest) }
        list.append(key)
        return isHit
    }
}

/// W-TinyLFU (Einziger, Friedman, Manes, 2017).
///
/// A window of 1 %, a main part of two segments, and a count-min sketch of 4-bit counters that
/// decides who gets in and ages after ten requests an entry.
struct TinyLFU: RivalPolicy {
    private let capacity: Int
    private var window = RecencyList()
    private var probation = RecencyList()
    private var protected = RecencyList()
    private var sketch: [UInt8]
    private var requests = 0

    init(capacity: Int) {
        self.capacity = capacity
        sketch = Array(repeating: 0, count: 4 * 8 * capacity)
    }

    private func place(_ key: Int, _ row: Int) -> Int {
        let columns = sketch.count / 4
        var mixed = UInt64(truncatingIfNeeded: key) &+ UInt64(row) &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return row * columns + Int((mixed ^ (mixed >> 31)) % UInt64(columns))
    }

    private func frequency(_ key: Int) -> UInt8 {
        (0..<4).reduce(15) { min($0, sketch[place(key, $1)]) }
    }

    mutating func request(_ key: Int) -> Bool {
        for row in 0..<4 {
            let place = place(key, row)
            if sketch[place] < 15 { sketch[place] += 1 }
        }
        requests += 1
        if requests == 10 * capacity {
            requests = 0
            for index in sketch.indices { sketch[index] /= 2 }
        }
        if window.contains(key) {
            window.remove(key)
            window.append(key)
            return true
        }
        if protected.contains(key) {
            protected.remove(key)
            protected.append(key)
            return true
        }
        if probation.contains(key) {
            probation.remove(key)
            protected.append(key)
            if protected.count > (capacity - capacity / 100) * 4 / 5 {
                let demoted = protected.oldest
                protected.remove(demoted)
                probation.append(demoted)
            }
            return true
        }
        window.append(key)
        guard window.count > max(1, capacity / 100) else { return false }
        let candidate = window.oldest
        window.remove(candidate)
        if window.count + probation.count + protected.count < capacity {
            probation.append(candidate)
        } else if frequency(candidate) > frequency(probation.oldest) {
            probation.remove(probation.oldest)
            probation.append(candidate)
        }
        return false
    }
}
