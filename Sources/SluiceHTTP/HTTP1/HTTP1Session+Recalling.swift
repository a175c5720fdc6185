import SluiceCore

// Heads that came before on the loop, on any connection, are copied instead of parsed.
extension HTTP1Session {
    /// What a head's meaning depends on besides its bytes.
    private var headState: UInt64 {
        UInt64(maxHeadBytes) << 2 | (role == .server ? 2 : 0) | (isSecure ? 1 : 0)
    }

    /// Reads a head that is the same as one that came before on this loop; nil when none is.
    mutating func recallHead(
        _ wire: UnsafeRawBufferPointer
    ) throws(HTTP1Failure) -> HTTP1Event? {
        guard let index = unsafe arena.heads.find(wire, key: wire.count, state: headState) else {
            return nil
        }
        let block = arena.blocks.take()
        arena.heads.fill(block, from: index)
        head = arena.heads[index]
        advance(arena.heads.wireCount(of: index))
        guard role == .client else { return beginRequest(block) }
        self.block = block
        let event = try beginResponse(block)
        self.block = nil
        return event
    }

    /// Reads a request that differs from one before on this loop in its path alone; nil when none does.
    mutating func recallVaried(_ wire: UnsafeRawBufferPointer) -> HTTP1Event? {
        guard role == .server,
            let (index, path) = unsafe arena.heads.findVaried(
                wire,
                state: headState,
                upTo: ASCII.space
            ),
            arena.heads.hasSoundTarget(index), unsafe FieldValidation.isPath(path)
        else { return nil }
        let block = arena.blocks.take()
        arena.heads.fill(block, from: index)
        let field = block.index(of: .path)
        let growth = path.count - (field.map { Int(block[$0].valueLength) } ?? 0)
        guard let field, arena.heads.wireCount(of: index) + growth <= maxHeadBytes else {
            arena.blocks.give(block)
            return nil
        }
        _ = unsafe block.stage(path.count)
        unsafe block.spell(field, path)
        block.repeatName = .none
        arena.heads.noteFound(index)
        head = arena.heads[index]
        head.byteCount += growth
        advance(arena.heads.wireCount(of: index) + growth)
        return beginRequest(block)
    }

    /// Where the path of a request stands that begins with it; empty where it has another form.
    private static func pathPlace(
        _ block: FieldBlock,
        in wire: UnsafeRawBufferPointer
    ) -> Range<Int> {
        guard let method = unsafe block.first(.method), let path = unsafe block.first(.path) else {
            return 0..<0
        }
        let place = (method.count + 1)..<(method.count + 1 + path.count)
        // A target with a scheme and an authority says more than the path.
        guard place.upperBound < wire.count, unsafe wire[place.lowerBound] == ASCII.slash,
            unsafe wire[place.upperBound] == ASCII.space
        else { return 0..<0 }
        return place
    }

    /// Keeps a head that `wire` begins with, in case it comes again.
    func keepHead(_ block: FieldBlock, _ wire: UnsafeRawBufferPointer) {
        // Whose request it is isn't kept beyond it: other clients' bytes are compared with these,
        // and the time that takes must tell nobody anything. Interim heads are rare.
        guard !hasSkippedLine, role == .server || head.status >= 200,
            block.index(of: .authorization) == nil,
            block.index(of: .proxyAuthorization) == nil, block.index(of: .cookie) == nil
        else { return }
        _ = unsafe arena.heads.keep(
            UnsafeRawBufferPointer(rebasing: wire[..<(wire.count - input.count)]),
            key: wire.count,
            state: headState,
            block: block,
            note: head,
            cut: role == .server ? unsafe HTTP1Session.pathPlace(block, in: wire) : 0..<0
        )
    }
}
