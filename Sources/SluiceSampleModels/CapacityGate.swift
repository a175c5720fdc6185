/// A model's real parallelism: so many at once, the rest in line, as on a GPU.
package struct CapacityGate {
    private let capacity: Int
    private var running = 0
    private var line: [UInt] = []

    /// A gate that lets `capacity` through at once; 0 means no limit.
    package init(capacity: Int) { self.capacity = capacity }

    /// Whether `ticket` may run now; else it waits its turn.
    package mutating func enter(_ ticket: UInt) -> Bool {
        if capacity == 0 || running < capacity {
            running += 1
            return true
        }
        line.append(ticket)
        return false
    }

    /// Ends one run and returns the ticket whose turn has come, if any waits.
    package mutating func leave() -> UInt? {
        running -= 1
        guard !line.isEmpty, capacity == 0 || running < capacity else { return nil }
        running += 1
        return line.removeFirst()
    }

    /// Takes a ticket out of the line; false if it isn't there (it runs already).
    package mutating func cancel(_ ticket: UInt) -> Bool {
        guard let index = line.firstIndex(of: ticket) else { return false }
        line.remove(at: index)
        return true
    }
}
