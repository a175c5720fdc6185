/// What is so or isn't of a request, a bit each; part of its ``RequestRecord``.
struct RequestFlags: OptionSet, BitwiseCopyable {
    let rawValue: UInt32

    static let isInternal = RequestFlags(rawValue: 1 << 0)
    static let isTranslated = RequestFlags(rawValue: 1 << 1)
    static let hasRequestEnded = RequestFlags(rawValue: 1 << 2)
    static let hasResponseBegun = RequestFlags(rawValue: 1 << 3)
    static let isListed = RequestFlags(rawValue: 1 << 4)
    static let isHead = RequestFlags(rawValue: 1 << 5)
    static let isCoded = RequestFlags(rawValue: 1 << 6)
    static let expectsContinue = RequestFlags(rawValue: 1 << 7)
    static let hasOwnRequestID = RequestFlags(rawValue: 1 << 8)
    static let namesVersion = RequestFlags(rawValue: 1 << 9)
    static let isCallersDoing = RequestFlags(rawValue: 1 << 10)
    static let mustAsk = RequestFlags(rawValue: 1 << 11)
    static let isCapturing = RequestFlags(rawValue: 1 << 12)

    // Which parts of the slot have been begun; see ``RequestSlot``.
    static let scanner = RequestFlags(rawValue: 1 << 16)
    static let pathParts = RequestFlags(rawValue: 1 << 17)
    static let lookup = RequestFlags(rawValue: 1 << 18)
    static let replay = RequestFlags(rawValue: 1 << 19)
    static let queueTicket = RequestFlags(rawValue: 1 << 20)
    static let clock = RequestFlags(rawValue: 1 << 21)
    static let mirror = RequestFlags(rawValue: 1 << 22)
    static let hedge = RequestFlags(rawValue: 1 << 23)
}

extension OptionSet where Element == Self {
    /// Whether the flag is set.
    @inline(__always)
    subscript(_ flag: Self) -> Bool {
        get { contains(flag) }
        set { if newValue { formUnion(flag) } else { subtract(flag) } }
    }
}

extension RequestRecord {
    /// Whether we ask for ourselves, to refresh the cache or for a shadow; no caller gets the answer.
    var isInternal: Bool {
        get { flags[.isInternal] }
        set { flags[.isInternal] = newValue }
    }

    /// Whether the answer is gathered whole, since the backend speaks another protocol than the
    /// caller (``Attempt/translatedProtocol``), or has been asked for some rows only.
    var isTranslated: Bool {
        get { flags[.isTranslated] }
        set { flags[.isTranslated] = newValue }
    }

    var hasRequestEnded: Bool {
        get { flags[.hasRequestEnded] }
        set { flags[.hasRequestEnded] = newValue }
    }

    var hasResponseBegun: Bool {
        get { flags[.hasResponseBegun] }
        set { flags[.hasResponseBegun] = newValue }
    }

    /// Whether `Worker.errorReplies` or `Worker.watchers` has an entry for this request.
    var isListed: Bool {
        get { flags[.isListed] }
        set { flags[.isListed] = newValue }
    }

    var isHead: Bool {
        get { flags[.isHead] }
        set { flags[.isHead] = newValue }
    }

    /// Whether the body must be decoded before it can be read (REST; see ``NamedCoding``).
    var isCoded: Bool {
        get { flags[.isCoded] }
        set { flags[.isCoded] = newValue }
    }

    /// Whether the client sends its body only when it has been told to continue.
    var expectsContinue: Bool {
        get { flags[.expectsContinue] }
        set { flags[.expectsContinue] = newValue }
    }

    /// Whether the request's identifier is ours.
    var hasOwnRequestID: Bool {
        get { flags[.hasOwnRequestID] }
        set { flags[.hasOwnRequestID] = newValue }
    }

    /// Whether the path names a version of the model.
    var namesVersion: Bool {
        get { flags[.namesVersion] }
        set { flags[.namesVersion] = newValue }
    }

    /// Whether the backend's refusal is down to what its caller asked for.
    var isCallersDoing: Bool {
        get { flags[.isCallersDoing] }
        set { flags[.isCallersDoing] = newValue }
    }

    /// Whether the caller forbade us to look into the cache (`cache-control: no-cache`).
    var mustAsk: Bool {
        get { flags[.mustAsk] }
        set { flags[.mustAsk] = newValue }
    }

    /// Whether the request is copied to a shadow, or is the copy.
    var isMirrored: Bool { flags[.mirror] }

    /// Whether the request may be sent to further backends while it waits, or is such a copy.
    var isHedged: Bool { flags[.hedge] }

    /// Whether the answer is copied as it passes, to be kept.
    var isCapturing: Bool {
        get { flags[.isCapturing] }
        set { flags[.isCapturing] = newValue }
    }
}
