import SluiceHTTP

/// A head as it came, for as long as a test needs it.
struct Head {
    let arena = HTTPArena()
    let block: FieldBlock

    /// A head of these fields.
    init(_ fields: [(String, String)] = []) {
        block = arena.blocks.take()
        for (name, value) in fields { block.append(named: name, text: value) }
    }
}
