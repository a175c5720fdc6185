/// Whether and how a request may be sent once more; part of its ``RequestRecord``.
@safe
struct RetryState: BitwiseCopyable {
    private struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16

        static let keepsBody = Flags(rawValue: 1 << 0)
        static let isKept = Flags(rawValue: 1 << 1)
        static let isFaulty = Flags(rawValue: 1 << 2)
        static let isForeign = Flags(rawValue: 1 << 3)
        static let isPrepared = Flags(rawValue: 1 << 4)
        static let isAsItCame = Flags(rawValue: 1 << 5)
        static let isCounted = Flags(rawValue: 1 << 6)
        static let wasStale = Flags(rawValue: 1 << 7)
    }

    private var flags = Flags()
    /// How much of the kept body lies in the request's slot, while it is small; see ``Replay``.
    var smallCount: UInt8 = 0
    /// How often it was sent again, elsewhere.
    var count: UInt8 = 0
    /// How often of these the backend may have seen it (`grpc-previous-rpc-attempts`).
    var seenCount: UInt8 = 0

    /// Whether the body so far is kept: to be sent again, or to be looked at.
    var keepsBody: Bool {
        get { flags[.keepsBody] }
        set { flags[.keepsBody] = newValue }
    }

    /// Whether the head is kept as well, in ``RequestRecord/head``, so that it can be sent again.
    var isKept: Bool {
        get { flags[.isKept] }
        set { flags[.isKept] = newValue }
    }

    /// Whether what came was found to be no well-formed request; see ``RequestFault``.
    var isFaulty: Bool {
        get { flags[.isFaulty] }
        set { flags[.isFaulty] = newValue }
    }

    /// Whether the body says that it is something else than JSON, so that it can't be read.
    var isForeign: Bool {
        get { flags[.isForeign] }
        set { flags[.isForeign] = newValue }
    }

    /// Whether the kept head is ours already, and only its address is to be changed.
    var isPrepared: Bool {
        get { flags[.isPrepared] }
        set { flags[.isPrepared] = newValue }
    }

    /// Whether the kept head is the one that came: what went out was told from it by its name.
    var isAsItCame: Bool {
        get { flags[.isAsItCame] }
        set { flags[.isAsItCame] = newValue }
    }

    /// Whether it holds a place in the revision's budget.
    var isCounted: Bool {
        get { flags[.isCounted] }
        set { flags[.isCounted] = newValue }
    }

    /// Whether it was sent again to the same backend, for a kept connection that was dead.
    var wasStale: Bool {
        get { flags[.wasStale] }
        set { flags[.wasStale] = newValue }
    }
}
