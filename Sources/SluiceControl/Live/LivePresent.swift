/// The numbers of now, over the last few seconds, of all models.
package struct LivePresent: Sendable {
    package var revisions: [RevisionKey: LiveNumbers] = [:]
    /// What was turned away before a revision was chosen, by model.
    package var unknown: [String: LiveNumbers] = [:]
    package var caches: [String: CacheNumbers] = [:]
    /// Attempts at a backend in a second.
    package var backends: [BackendKey: Double] = [:]

    /// Nothing is known yet.
    package init() {}
}
