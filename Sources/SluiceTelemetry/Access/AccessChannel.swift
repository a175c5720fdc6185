import Synchronization

/// Carries pieces of access log from the workers to the one thread that writes them, and back.
///
/// Bounded: there are never more than `fragmentsMaximum` pieces, full ones, empty ones and those in
/// somebody's hands together, each allocated when first needed. When none is left, workers drop
/// lines and count them here. A lock of some 40 ns is taken once or twice per piece of 64 KiB.
package final class AccessChannel: Sendable {
    /// Bytes of one piece.
    package let fragmentBytes: Int
    /// Pieces there may be.
    package let fragmentsMaximum: Int

    private struct Fragments {
        var empty: [AccessFragment.Memory] = []
        var full: [AccessFragment.Memory] = []
        var made = 0
    }

    private let fragments = Mutex(Fragments())
    private let dropped = Atomic<UInt64>(0)

    /// A channel without pieces; 64 pieces of 64 KiB unless told otherwise.
    package init(fragmentBytes: Int = 64 << 10, fragmentsMaximum: Int = 64) {
        precondition(fragmentBytes >= AccessLine.bytesMaximum, "the longest line fits into a piece")
        self.fragmentBytes = fragmentBytes
        self.fragmentsMaximum = fragmentsMaximum
    }

    deinit {
        fragments.withLock { fragments in
            for memory in fragments.empty + fragments.full { unsafe memory.start?.deallocate() }
        }
    }

    /// How many lines were lost because no piece was to be had.
    package var droppedLines: UInt64 { dropped.load(ordering: .relaxed) }

    // MARK: - The writer's side

    /// The oldest piece with lines, or nil; bring it back with ``giveBack(_:)``.
    package func takeFull() -> AccessFragment? {
        let memory = fragments.withLock { $0.full.isEmpty ? nil : $0.full.removeFirst() }
        guard let memory else { return nil }
        return AccessFragment(memory)
    }

    /// Takes back a piece whose lines were written (or can't be).
    package func giveBack(_ fragment: consuming AccessFragment) {
        guard fragment.isReal else { return }
        var memory = fragment.release()
        memory.count = 0
        fragments.withLock { [memory] in $0.empty.append(memory) }
    }

    // MARK: - The workers' side

    /// An empty piece, or one without room when all are in use.
    func takeEmpty() -> AccessFragment {
        var mayAllocate = false
        let memory: AccessFragment.Memory? = fragments.withLock { fragments in
            if let memory = fragments.empty.popLast() { return memory }
            if fragments.made < fragmentsMaximum {
                fragments.made += 1
                mayAllocate = true
            }
            return nil
        }
        if let memory { return AccessFragment(memory) }
        return mayAllocate ? AccessFragment(.allocate(fragmentBytes)) : .none
    }

    /// Queues a piece for the writer.
    func handOver(_ fragment: consuming AccessFragment) {
        let memory = fragment.release()
        fragments.withLock { $0.full.append(memory) }
    }

    /// Counts lines that found no room, or that could not be written.
    package func countDropped(_ count: Int = 1) {
        if count > 0 { dropped.add(UInt64(count), ordering: .relaxed) }
    }
}
