/// Which backends a pick may choose: those that are eligible and not excluded.
protocol PickedMembers {
    func contains(_ index: Int) -> Bool
    /// Those that are eligible, excluded or not.
    var eligibleSet: BackendSet { get }
}

/// Some of at most 64 backends.
struct FewMembers: PickedMembers, BitwiseCopyable {
    let bits: UInt64
    let eligible: UInt64

    @inline(__always)
    func contains(_ index: Int) -> Bool { bits &>> UInt64(index) & 1 == 1 }

    var eligibleSet: BackendSet { BackendSet(first: eligible) }
}

/// Some of any number of backends.
struct ManyMembers: PickedMembers {
    let eligible: BackendSet
    let excluded: BackendSet

    func contains(_ index: Int) -> Bool { eligible.contains(index) && !excluded.contains(index) }

    var eligibleSet: BackendSet { eligible }
}
