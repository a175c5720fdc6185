/// The blocks of one loop that lie idle; steady traffic reuses a handful.
///
/// A handle, as sessions reach for it several times a request: copying it copies a pointer. The
/// `HTTPArena` owns what it points to.
@safe
public struct FieldBlockPool: BitwiseCopyable {
    @safe
    struct State: BitwiseCopyable {
        var liveCount = 0
        var idle: UnsafeMutablePointer<FieldBlock.Storage>?
        var idleCount = 0
        var arrivalCount: UInt64 = 0
    }

    private static let idleMaximum = 256
    private static let retainedBlockBytes = 16 << 10
    private let state: UnsafeMutablePointer<State>

    init() {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State(idle: nil))
    }

    func deallocate() {
        while let storage = unsafe state.pointee.idle {
            unsafe state.pointee.idle = storage.pointee.next
            unsafe FieldBlock(storage).deallocate()
        }
        unsafe state.deallocate()
    }

    /// How many blocks are handed out.
    package var liveCount: Int { unsafe state.pointee.liveCount }

    /// A name for the fields of a head that came, as no other has on this loop.
    func nameArrival() -> HeadName {
        unsafe state.pointee.arrivalCount += 1
        return unsafe HeadName(arrival: state.pointee.arrivalCount)
    }

    /// Hands out an empty block.
    package func take() -> FieldBlock {
        unsafe state.pointee.liveCount += 1
        guard let storage = unsafe state.pointee.idle else { return FieldBlock.make() }
        unsafe state.pointee.idle = storage.pointee.next
        unsafe state.pointee.idleCount -= 1
        let block = unsafe FieldBlock(storage)
        assert(FieldBlockPool.mark(block, isIdle: false))
        block.removeAll()
        return block
    }

    /// Takes a block back; every copy of the handle is dead from here on.
    ///
    /// Debug builds notice a block that comes back twice.
    package func give(_ block: FieldBlock) {
        assert(unsafe !block.storage.pointee.isIdle, "a block is given back once")
        assert(FieldBlockPool.mark(block, isIdle: true))
        unsafe state.pointee.liveCount -= 1
        guard unsafe state.pointee.idleCount < FieldBlockPool.idleMaximum,
            block.capacityBytes <= FieldBlockPool.retainedBlockBytes
        else {
            block.deallocate()
            return
        }
        unsafe block.storage.pointee.next = state.pointee.idle
        unsafe state.pointee.idle = block.storage
        unsafe state.pointee.idleCount += 1
    }

    /// Notes for debug builds whether a block lies here; always true.
    private static func mark(_ block: FieldBlock, isIdle: Bool) -> Bool {
        unsafe block.storage.pointee.isIdle = isIdle
        return true
    }
}
