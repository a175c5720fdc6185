// A hashed timing wheel (Varghese and Lauck, 1987): 1,024 slots of about 8 ms.
//
// Setting and cancelling a timer are O(1) and, once the node table has grown, free of `malloc`:
// nearly every request's timer is set and cancelled without ever firing. A timer further away than
// the wheel's 8.6 s waits in its slot and is passed over once per turn. Timers fire up to one slot
// late, never early.

/// Whoever sets timers.
package protocol TimerTarget: AnyObject {
    /// The timer that was set with this tag is due; it is spent.
    func timerFired(_ tag: UInt, at now: Instant)
}

/// A set timer; worthless once it has fired or been cancelled.
public struct TimerID: BitwiseCopyable, Equatable, Sendable {
    @usableFromInline var index: Int32
    @usableFromInline var generation: UInt32

    @inlinable
    init(index: Int32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }

    /// No timer.
    @inlinable public static var none: TimerID { TimerID(index: -1, generation: 0) }

    @inlinable
    public static func == (left: TimerID, right: TimerID) -> Bool {
        left.index == right.index && left.generation == right.generation
    }
}

/// All timers of one loop; pure, told the time by its owner.
@safe
package struct TimerWheel: ~Copyable {
    @safe
    private struct Node {
        var deadline = Instant.zero
        var target: Unmanaged<AnyObject>?
        var tag: UInt = 0
        var generation: UInt32 = 0
        var slot: Int32 = -1
        var previous: Int32 = -1
        var next: Int32 = -1
    }

    /// How late a timer may fire.
    package static let resolution = Duration.nanoseconds(1 << slotShift)

    private static let slotShift: Int64 = 23
    private static let slotCount = 1024

    private var nodes: [Node] = []
    private var free: [Int32] = []
    private var heads = [Int32](repeating: -1, count: TimerWheel.slotCount)
    private var occupied = [UInt64](repeating: 0, count: TimerWheel.slotCount / 64)
    private var cursor: Int64
    /// How many timers are set.
    package private(set) var count = 0

    /// An empty wheel at `now`.
    package init(now: Instant) { cursor = now.nanoseconds >> TimerWheel.slotShift }

    /// Sets a timer; `target` isn't retained: it must cancel what it has set before it goes.
    package mutating func set(
        at deadline: Instant,
        target: any TimerTarget,
        tag: UInt
    ) -> TimerID {
        let index: Int32
        if let reused = free.popLast() {
            index = reused
        } else {
            index = Int32(nodes.count)
            nodes.append(Node())
        }
        // At least the slot after the cursor: the cursor's own has been visited.
        let turn = max(
            (deadline.nanoseconds >> TimerWheel.slotShift) &+ (deadline == .distantFuture ? 0 : 1),
            cursor + 1
        )
        let slot = Int(turn & Int64(TimerWheel.slotCount - 1))
        nodes[Int(index)].deadline = deadline
        unsafe nodes[Int(index)].target = unsafe Unmanaged.passUnretained(target)
        nodes[Int(index)].tag = tag
        nodes[Int(index)].slot = Int32(slot)
        nodes[Int(index)].previous = -1
        nodes[Int(index)].next = heads[slot]
        if heads[slot] >= 0 { nodes[Int(heads[slot])].previous = index }
        heads[slot] = index
        occupied[slot / 64] |= 1 << UInt64(slot % 64)
        count += 1
        return TimerID(index: index, generation: nodes[Int(index)].generation)
    }

    /// Cancels a timer; one that has fired or been cancelled is left alone.
    package mutating func cancel(_ timer: TimerID) {
        guard timer.index >= 0, nodes[Int(timer.index)].generation == timer.generation,
            nodes[Int(timer.index)].slot >= 0
        else { return }
        remove(timer.index)
    }

    /// The earliest time at which ``advance(to:)`` may have something to do, or nil.
    package var nextDeadline: Instant? {
        guard count > 0 else { return nil }
        let start = Int((cursor + 1) & Int64(TimerWheel.slotCount - 1))
        var distance = 0
        while distance < TimerWheel.slotCount {
            let slot = (start + distance) & (TimerWheel.slotCount - 1)
            let word = occupied[slot / 64] >> UInt64(slot % 64)
            if word != 0 {
                distance += word.trailingZeroBitCount
                return Instant(
                    nanoseconds: (cursor + 1 + Int64(distance)) << TimerWheel.slotShift
                )
            }
            distance += 64 - slot % 64
        }
        return nil
    }

    /// Takes the next due timer out, moving the wheel on to `now`; nil when none is left.
    package mutating func popDue(at now: Instant) -> (target: any TimerTarget, tag: UInt)? {
        let turn = now.nanoseconds >> TimerWheel.slotShift
        while cursor < turn || due >= 0 {
            if due < 0 {
                // A wheel that has stood still for more than a turn needs just one turn.
                cursor = max(cursor + 1, turn - Int64(TimerWheel.slotCount))
                due = heads[Int(cursor & Int64(TimerWheel.slotCount - 1))]
            }
            while due >= 0 {
                let index = due
                due = nodes[Int(index)].next
                guard nodes[Int(index)].deadline <= now,
                    let target = unsafe nodes[Int(index)].target?.takeUnretainedValue()
                        as? any TimerTarget
                else { continue }
                let tag = nodes[Int(index)].tag
                remove(index)
                return (target, tag)
            }
        }
        return nil
    }

    // The node to look at next in the cursor's slot.
    private var due: Int32 = -1

    private mutating func remove(_ index: Int32) {
        let node = nodes[Int(index)]
        let slot = Int(node.slot)
        if due == index { due = node.next }
        if node.previous >= 0 {
            nodes[Int(node.previous)].next = node.next
        } else {
            heads[slot] = node.next
        }
        if node.next >= 0 { nodes[Int(node.next)].previous = node.previous }
        if heads[slot] < 0 { occupied[slot / 64] &= ~(1 << UInt64(slot % 64)) }
        nodes[Int(index)].slot = -1
        unsafe nodes[Int(index)].target = nil
        nodes[Int(index)].generation &+= 1
        free.append(index)
        count -= 1
    }
}
