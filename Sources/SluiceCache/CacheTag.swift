/// Whose answer an entry is: a model and one of its revisions, each as a 64-bit hash of its name.
///
/// Hashes rather than numbers from a table: they mean the same before and after a reload, and need
/// no table to grow. Two names that share one are purged together, which costs some misses; the
/// key, not the tag, keeps their answers apart.
package struct CacheTag: Hashable, BitwiseCopyable, Sendable {
    let model: UInt64
    let revision: UInt64

    /// The tag of a revision; made when a snapshot is compiled.
    package init(model: String, revision: String) {
        self.model = CacheTag.hash(model)
        self.revision = CacheTag.hash(revision)
    }

    /// FNV-1a, 64 bits (draft-eastlake-fnv §6).
    private static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }
}

/// Which entries a purge or a listing means.
package enum CacheScope: Hashable, Sendable {
    /// Every entry.
    case everything
    /// Entries of all revisions of the tag's model.
    case model(CacheTag)
    /// Entries of exactly this model and revision.
    case revision(CacheTag)

    /// Whether an entry with this tag is meant.
    package func contains(_ tag: CacheTag) -> Bool {
        switch self {
        case .everything: true
        case .model(let wanted): tag.model == wanted.model
        case .revision(let wanted): tag == wanted
        }
    }
}
