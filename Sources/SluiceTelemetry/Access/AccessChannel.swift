import Synchronization

/// Carries pieces of access log from the workers to the one thread that writes them, and back.
///
/// Bounded: there are never more than `piecesMaximum` pieces, full ones, empty ones and those in
/// somebody's hands together, each allocated when first needed. When none is left, workers drop
/// lines and count them here. A lock of some 40 ns is taken once or twice per piece of 64 KiB.
package final class AccessChannel: Sendable {
    /// Bytes of one piece.
    package let pieceBytes: Int
    /// Pieces there may be.
    package let piecesMaximum: Int

    private struct Pieces {
        var empty: [AccessPiece.Memory] = []
        var full: [AccessPiece.Memory] = []
        var made = 0
    }

    private let pieces = Mutex(Pieces())
    private let dropped = Atomic<UInt64>(0)

    /// A channel without pieces; 64 pieces of 64 KiB unless told otherwise.
    package init(pieceBytes: Int = 64 << 10, piecesMaximum: Int = 64) {
        precondition(pieceBytes >= AccessLine.bytesMaximum, "the longest line fits into a piece")
        self.pieceBytes = pieceBytes
        self.piecesMaximum = piecesMaximum
    }

    deinit {
        pieces.withLock { pieces in
            for memory in pieces.empty + pieces.full { unsafe memory.start?.deallocate() }
        }
    }

    /// How many lines were lost because no piece was to be had.
    package var droppedLines: UInt64 { dropped.load(ordering: .relaxed) }

    // MARK: - The writer's side

    /// The oldest piece with lines, or nil; bring it back with ``giveBack(_:)``.
    package func takeFull() -> AccessPiece? {
        let memory = pieces.withLock { $0.full.isEmpty ? nil : $0.full.removeFirst() }
        guard let memory else { return nil }
        return AccessPiece(memory)
    }

    /// Takes back a piece whose lines were written (or can't be).
    package func giveBack(_ piece: consuming AccessPiece) {
        guard piece.isReal else { return }
        var memory = piece.release()
        memory.count = 0
        pieces.withLock { [memory] in $0.empty.append(memory) }
    }

    // MARK: - The workers' side

    /// An empty piece, or one without room when all are in use.
    func takeEmpty() -> AccessPiece {
        var mayAllocate = false
        let memory: AccessPiece.Memory? = pieces.withLock { pieces in
            if let memory = pieces.empty.popLast() { return memory }
            if pieces.made < piecesMaximum {
                pieces.made += 1
                mayAllocate = true
            }
            return nil
        }
        if let memory { return AccessPiece(memory) }
        return mayAllocate ? AccessPiece(.allocate(pieceBytes)) : .none
    }

    /// Queues a piece for the writer.
    func handOver(_ piece: consuming AccessPiece) {
        let memory = piece.release()
        pieces.withLock { $0.full.append(memory) }
    }

    /// Counts lines that found no room, or that could not be written.
    package func countDropped(_ count: Int = 1) {
        if count > 0 { dropped.add(UInt64(count), ordering: .relaxed) }
    }
}
