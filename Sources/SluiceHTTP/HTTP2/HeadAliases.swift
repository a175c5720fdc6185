import SluiceCore

/// Under which names an encoder's kept blocks are called for: a small table that forgets.
///
/// A block may have several names, as many clients have the same said on one connection to a backend.
/// Each name has two places where it may stand; where both are taken the table grows, up to a bound, and
/// then the newer name has the place.
@safe
struct HeadAliases: ~Copyable {
    private struct Alias: BitwiseCopyable {
        var name = HeadName.none
        /// The slot, and which of its fillings.
        var slot: UInt32 = 0
        var filling: UInt32 = 0
    }

    private static let countMinimum = 16
    private static let countMaximum = 1024
    /// Room for `count` aliases, a power of two; nothing before the first name.
    private var aliases: UnsafeMutablePointer<Alias>?
    private var count = 0

    init() { unsafe aliases = nil }

    deinit { unsafe aliases?.deallocate() }

    /// The slot and its filling that `name` was given to.
    @inline(__always)
    func find(_ name: HeadName) -> (slot: Int, filling: UInt32)? {
        guard let aliases = unsafe aliases else { return nil }
        // Places are below the count.
        var alias = unsafe aliases + HeadAliases.place(of: name, in: count)
        if unsafe alias.pointee.name != name {
            unsafe alias = aliases + (HeadAliases.place(of: name, in: count) ^ 1)
            guard unsafe alias.pointee.name == name else { return nil }
        }
        return unsafe (Int(alias.pointee.slot), alias.pointee.filling)
    }

    /// Gives `name` to what a slot holds now; `isLive` says whether an older name is still of use.
    mutating func insert(
        _ name: HeadName,
        slot: Int,
        filling: UInt32,
        isLive: (_ slot: Int, _ filling: UInt32) -> Bool
    ) {
        let alias = Alias(name: name, slot: UInt32(slot), filling: filling)
        while true {
            if let aliases = unsafe aliases {
                let home = HeadAliases.place(of: name, in: count)
                for place in [home, home ^ 1] {
                    let old = unsafe aliases[place]
                    guard
                        old.name.isNone || old.name == name
                            || !isLive(Int(old.slot), old.filling)
                    else { continue }
                    unsafe aliases[place] = alias
                    return
                }
                guard count < HeadAliases.countMaximum else {
                    unsafe aliases[home] = alias
                    return
                }
            }
            grow()
        }
    }

    @inline(__always)
    private static func place(of name: HeadName, in count: Int) -> Int {
        let mixed = (name.origin ^ name.use &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
        return Int(truncatingIfNeeded: mixed &>> 40) & (count &- 1)
    }

    private mutating func grow() {
        let (old, oldCount) = unsafe (aliases, count)
        count = max(HeadAliases.countMinimum, 2 * oldCount)
        let larger = UnsafeMutablePointer<Alias>.allocate(capacity: count)
        unsafe larger.initialize(repeating: Alias(), count: count)
        unsafe aliases = larger
        guard let old = unsafe old else { return }
        for index in 0..<oldCount {
            let alias = unsafe old[index]
            if alias.name.isNone { continue }
            // Two that shared a pair still may; one that finds no place is forgotten.
            let home = HeadAliases.place(of: alias.name, in: count)
            for place in [home, home ^ 1] where unsafe larger[place].name.isNone {
                unsafe larger[place] = alias
                break
            }
        }
        unsafe old.deallocate()
    }
}
