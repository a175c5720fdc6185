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
    private struct Node: BitwiseCopyable {
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

    // Raw memory, as every request sets a timer and cancels it: arrays ask each time whether they
    // are shared. Whatever is below `nodeCount` is initialized, and indices come from these lists.
    private var nodes: UnsafeMutablePointer<Node>
    private var nodeCapacity = 16
    private var nodeCount = 0
    /// The first of the nodes that aren't set, linked by ``Node/next``.
    private var free: Int32 = -1
    private let heads: UnsafeMutablePointer<Int32>
    private let occupied: UnsafeMutablePointer<UInt64>
    private var cursor: Int64
    /// How many timers are set.
    package private(set) var count = 0

    /// An empty wheel at `now`.
    package init(now: Instant) {
        cursor = now.nanoseconds >> TimerWheel.slotShift
        unsafe nodes = .allocate(capacity: nodeCapacity)
        unsafe heads = .allocate(capacity: TimerWheel.slotCount)
        unsafe heads.initialize(repeating: -1, count: TimerWheel.slotCount)
        unsafe occupied = .allocate(capacity: TimerWheel.slotCount / 64)
        unsafe occupied.initialize(repeating: 0, count: TimerWheel.slotCount / 64)
    }

    deinit {
        unsafe nodes.deallocate()
        unsafe heads.deallocate()
        unsafe occupied.deallocate()
    }

    /// Sets a timer; `target` isn't retained: it must cancel what it has set before it goes.
    package mutating func set(
        at deadline: Instant,
        target: any TimerTarget,
        tag: UInt
    ) -> TimerID {
        let index = takeNode()
        // At least the slot after the cursor: the cursor's own has been visited.
        let turn = max(
            (deadline.nanoseconds >> TimerWheel.slotShift) &+ (deadline == .distantFuture ? 0 : 1),
            cursor + 1
        )
        let slot = Int(turn & Int64(TimerWheel.slotCount - 1))
        let node = unsafe nodes + Int(index)
        unsafe node.pointee.deadline = deadline
        unsafe node.pointee.target = Unmanaged.passUnretained(target)
        unsafe node.pointee.tag = tag
        unsafe node.pointee.slot = Int32(slot)
        unsafe node.pointee.previous = -1
        let next = unsafe heads[slot]
        unsafe node.pointee.next = next
        if next >= 0 { unsafe nodes[Int(next)].previous = index }
        unsafe heads[slot] = index
        unsafe occupied[slot >> 6] |= 1 << UInt64(slot & 63)
        count += 1
        return unsafe TimerID(index: index, generation: node.pointee.generation)
    }

    /// A node that isn't set, a new one if need be.
    private mutating func takeNode() -> Int32 {
        if free >= 0 {
            let index = free
            free = unsafe nodes[Int(index)].next
            return index
        }
        if nodeCount == nodeCapacity { grow() }
        unsafe (nodes + nodeCount).initialize(to: Node())
        nodeCount += 1
        return Int32(nodeCount - 1)
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<Node>.allocate(capacity: 2 * nodeCapacity)
        unsafe larger.update(from: nodes, count: nodeCount)
        unsafe nodes.deallocate()
        unsafe nodes = larger
        nodeCapacity *= 2
    }

    /// Cancels a timer; one that has fired or been cancelled is left alone.
    package mutating func cancel(_ timer: TimerID) {
        guard timer.index >= 0, timer.index < nodeCount,
            unsafe nodes[Int(timer.index)].generation == timer.generation,
            unsafe nodes[Int(timer.index)].slot >= 0
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
            let word = unsafe occupied[slot / 64] >> UInt64(slot % 64)
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
                due = unsafe heads[Int(cursor & Int64(TimerWheel.slotCount - 1))]
            }
            while due >= 0 {
                let index = due
                due = unsafe nodes[Int(index)].next
                guard unsafe nodes[Int(index)].deadline <= now,
                    let target = unsafe nodes[Int(index)].target?.takeUnretainedValue()
                        as? any TimerTarget
                else { continue }
                let tag = unsafe nodes[Int(index)].tag
                remove(index)
                return (target, tag)
            }
        }
        return nil
    }

    // The node to look at next in the cursor's slot.
    private var due: Int32 = -1

    private mutating func remove(_ index: Int32) {
        let node = unsafe nodes[Int(index)]
        let slot = Int(node.slot)
        if due == index { due = node.next }
        if node.previous >= 0 {
            unsafe nodes[Int(node.previous)].next = node.next
        } else {
            unsafe heads[slot] = node.next
            if node.next < 0 { unsafe occupied[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
        }
        if node.next >= 0 { unsafe nodes[Int(node.next)].previous = node.previous }
        unsafe nodes[Int(index)].slot = -1
        unsafe nodes[Int(index)].target = nil
        unsafe nodes[Int(index)].generation &+= 1
        unsafe nodes[Int(index)].next = free
        free = index
        count -= 1
    }
}
