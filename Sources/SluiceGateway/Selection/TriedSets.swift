import SluiceBalancing

/// Which backends beyond the 64th each request of a worker has tried; the first 64 are in its ``RequestRecord``.
///
/// A request has a place here once it goes to such a backend. Places and their memory are used again
/// and again, so there are as many as there were ever requests of that kind at once.
struct TriedSets {
    // Place 0 is for those that have none.
    private var sets = [BackendSet()]
    private var free: [UInt32] = []

    /// What the request has tried: `first` of the first 64, and what is kept at its place.
    func set(first: UInt64, at place: UInt32) -> BackendSet {
        guard place > 0 else { return BackendSet(first: first) }
        var set = sets[Int(place)]
        set.first = first
        return set
    }

    /// Adds a backend from 64 on; a place is found for who has none.
    mutating func insert(_ number: Int, at place: inout UInt32) {
        if place == 0 {
            if let old = free.popLast() {
                place = old
            } else {
                place = UInt32(sets.count)
                sets.append(BackendSet())
            }
        }
        sets[Int(place)].insert(number)
    }

    /// Gives the place back.
    mutating func remove(at place: inout UInt32) {
        guard place > 0 else { return }
        sets[Int(place)].removeAll()
        free.append(place)
        place = 0
    }
}
