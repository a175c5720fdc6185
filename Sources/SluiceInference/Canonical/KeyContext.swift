import SluiceCore

/// A part of a cache key that stands before the request's own content, in the order of the key's bytes.
///
/// Every key begins with all of them, each behind its length. To add one: a case here, which ``origin``
/// and ``KeyContext`` must then name, and a member of ``KeyContext``, which each of its makers must give.
/// The compiler asks for all of these.
package enum KeyPart: Int, CaseIterable, Sendable {
    /// The number of this layout; raised when the bytes change, so that no key of before is found.
    case layout
    /// What kind of content follows: see ``KeyDomain``.
    case domain
    case model
    /// The revision's identity: its name and its backends' name for the model.
    case revision
    /// The model's version that was asked for, or nothing.
    case version

    /// Where a part comes from, for a gRPC message.
    package enum Origin: Sendable {
        /// The same for all gRPC messages, or in the message's bytes.
        case message
        /// Settled by the revision's number.
        case revision
        /// Said by the caller beside the message, as in a header's value. Equal messages may differ in it.
        case caller
    }

    /// Where the part comes from, which says how requests that are known by their bytes are told apart.
    package var origin: Origin {
        switch self {
        case .layout, .domain: .message
        case .model, .revision: .revision
        // REST has it in the path; a message has it in itself.
        case .version: .message
        }
    }
}

/// What kind of content a key is of; two kinds never share one.
enum KeyDomain {
    /// A V2 request, and what was turned into one.
    case v2
    /// A V1 request whose meaning only its model knows.
    case v1
    /// One row of such a request.
    case v1Row

    var text: StaticString {
        switch self {
        case .v2: "v2"
        case .v1: "v1"
        case .v1Row: "v1 row"
        }
    }
}

/// All of a request's cache key that doesn't come from its body, borrowed from where it lies.
///
/// Both ways to a key start from it: the canonical request, which is digested behind it, and the keys of
/// requests that are known by their very bytes, which are compared together with it.
@safe
package struct KeyContext: BitwiseCopyable {
    private let model: UnsafeRawBufferPointer
    private let revision: UnsafeRawBufferPointer
    /// The version in a REST path; empty for gRPC, whose message has its own.
    package let version: UnsafeRawBufferPointer
    /// What a worker calls model and revision: equal numbers are equal parts.
    package let revisionNumber: UInt32

    /// A context; what it borrows must stay where it is while it is in use.
    package init(
        model: UnsafeRawBufferPointer,
        revision: UnsafeRawBufferPointer,
        version: UnsafeRawBufferPointer,
        revisionNumber: UInt32
    ) {
        unsafe self.model = model
        unsafe self.revision = revision
        unsafe self.version = version
        self.revisionNumber = revisionNumber
    }

    /// A context that says nothing, for content alone.
    package static var empty: KeyContext {
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        return unsafe KeyContext(
            model: nothing,
            revision: nothing,
            version: nothing,
            revisionNumber: 0
        )
    }

    /// The same for a key that all revisions share.
    package var acrossRevisions: KeyContext {
        unsafe KeyContext(
            model: model,
            revision: UnsafeRawBufferPointer(start: nil, count: 0),
            version: version,
            revisionNumber: .max
        )
    }

    /// A part's bytes, in a key of `domain` for `version`.
    @inline(__always)
    private func bytes(
        of part: KeyPart,
        _ domain: KeyDomain,
        version: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        switch part {
        case .layout: unsafe KeyContext.bytes(of: "sluice 1")
        case .domain: unsafe KeyContext.bytes(of: domain.text)
        case .model: unsafe model
        case .revision: unsafe revision
        case .version: unsafe version
        }
    }

    private static func bytes(of text: StaticString) -> UnsafeRawBufferPointer {
        // A literal of ours, which is never freed.
        unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// Calls `body` with each part of a key in order; `version` is the one that the request asks for.
    @inline(__always)
    func forEachPart(
        _ domain: KeyDomain,
        version: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        var number = 0
        while let part = KeyPart(rawValue: number) {
            unsafe body(bytes(of: part, domain, version: version))
            number &+= 1
        }
    }

    // MARK: - Beside a message's bytes

    /// Calls `body` with each part in which equal gRPC messages for one revision may differ.
    @inline(__always)
    private func forEachCallerPart(_ body: (UnsafeRawBufferPointer) -> Void) {
        var number = 0
        while let part = KeyPart(rawValue: number) {
            if part.origin == .caller { unsafe body(bytes(of: part, .v2, version: version)) }
            number &+= 1
        }
    }

    /// Whether any part is the caller's; a constant, so that a hit doesn't count where there are none.
    package static var hasCallerParts: Bool {
        var number = 0
        while let part = KeyPart(rawValue: number) {
            if part.origin == .caller { return true }
            number &+= 1
        }
        return false
    }

    /// How many bytes ``copyCallerParts(to:)`` writes.
    package var callerByteCount: Int {
        var count = 0
        unsafe forEachCallerPart { count &+= 4 &+ $0.count }
        return count
    }

    /// Writes the parts in which equal messages may differ, each behind its length.
    ///
    /// `place` must have room for ``callerByteCount``.
    package func copyCallerParts(to place: UnsafeMutableRawPointer) {
        var place = unsafe place
        unsafe forEachCallerPart { part in
            unsafe place.storeBytes(of: UInt32(part.count).littleEndian, as: UInt32.self)
            if let from = part.baseAddress {
                unsafe (place + 4).copyMemory(from: from, byteCount: part.count)
            }
            unsafe place += 4 + part.count
        }
    }

    /// Whether `place` has what ``copyCallerParts(to:)`` would write; as many bytes must be there.
    package func equalsCallerParts(at place: UnsafeRawPointer) -> Bool {
        var (place, isEqual) = unsafe (place, true)
        unsafe forEachCallerPart { part in
            // The lengths may differ though their sum doesn't; behind that, nothing more is read.
            guard isEqual,
                unsafe UInt32(littleEndian: place.loadUnaligned(as: UInt32.self)) == part.count
            else {
                isEqual = false
                return
            }
            if let base = part.baseAddress {
                isEqual = unsafe ShortBytes.equal(place + 4, base, count: part.count)
            }
            unsafe place += 4 + part.count
        }
        return isEqual
    }
}

/// A ``KeyContext`` in memory of its own, for another thread.
package struct OwnedKeyContext: Sendable {
    private let model: [UInt8]
    private let revision: [UInt8]
    private let version: [UInt8]
    private let revisionNumber: UInt32

    /// A context of these parts.
    package init(model: [UInt8], revision: [UInt8], version: [UInt8], revisionNumber: UInt32) {
        self.model = model
        self.revision = revision
        self.version = version
        self.revisionNumber = revisionNumber
    }

    /// Calls `body` with the context, which is valid for as long as the call takes.
    package func withContext<Value>(
        _ body: (KeyContext) throws -> Value
    ) rethrows -> Value {
        try unsafe model.withUnsafeBytes { model in
            try unsafe revision.withUnsafeBytes { revision in
                try unsafe version.withUnsafeBytes { version in
                    try unsafe body(
                        KeyContext(
                            model: model,
                            revision: revision,
                            version: version,
                            revisionNumber: revisionNumber
                        )
                    )
                }
            }
        }
    }
}

extension KeyContext {
    /// A copy that outlives what is borrowed here.
    package var owned: OwnedKeyContext {
        unsafe OwnedKeyContext(
            model: [UInt8](model),
            revision: [UInt8](revision),
            version: [UInt8](version),
            revisionNumber: revisionNumber
        )
    }
}
