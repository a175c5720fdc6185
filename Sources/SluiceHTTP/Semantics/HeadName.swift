/// What all blocks with the same fields are called, the values of volatile ones aside.
///
/// Two words, as a name is made without asking anyone: where the fields come from, and what was done
/// with them since by rules that don't change under this name. A connection that has sent a block
/// repeats it by its name (``RepeatedHead``, ``RepeatedAnswer``).
public struct HeadName: Hashable, BitwiseCopyable, Sendable {
    /// Which fields: a number that is given once on a loop.
    @usableFromInline let origin: UInt64
    /// What became of them, by whoever names it so; 0 is nothing.
    @usableFromInline let use: UInt64

    /// What blocks are called that have no name.
    @inlinable
    public static var none: HeadName { HeadName(origin: 0, use: 0) }

    /// A name of fields that the caller has numbered, from 1 on and below 2^63.
    package init(_ number: UInt64) { self.init(origin: number, use: 0) }

    /// The name of the fields of a head that came, by its number on its loop.
    init(arrival: UInt64) { self.init(origin: 1 << 63 | arrival, use: 0) }

    @usableFromInline
    init(origin: UInt64, use: UInt64) {
        self.origin = origin
        self.use = use
    }

    /// Whether it is no name.
    @inlinable
    @inline(__always)
    public var isNone: Bool { origin == 0 }

    /// What such a block is called after it was changed in the way that `use` stands for.
    @inlinable
    @inline(__always)
    public func used(as use: UInt64) -> HeadName { HeadName(origin: origin, use: use) }
}
