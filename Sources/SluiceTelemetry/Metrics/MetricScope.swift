// When a series goes
// ------------------
// A handle is a bare number, and its holder adds to it without asking, so a slot may serve another
// series only when no handle of the first is left. Whoever keeps handles of a model, a revision or a
// backend therefore holds its *scope* for as long: each worker's records of what its replicas have,
// which go when the last request that began on the replica is over. When the last hold of a scope
// goes, its series are dead: gauges are shown no more, counters and histograms in one more scrape, so
// that a rate doesn't lose its end, or until two calls of `age()` have passed without a scrape.
// Then their slots are free, and zeroed in every shard when they are taken again.
//
//   held ──last hold gone──▶ dead ──scrape or second age()──▶ removed, slots free
//    ▲                        │
//    └────────held again──────┘   the counts go on

/// What a series is about: a model, one of its revisions, one of that one's backends, or a backend's
/// address by itself.
struct MetricScopeName: Hashable, Sendable {
    var model = ""
    var revision = ""
    var backend = ""

    /// The scopes that are held along with this one: a revision's model, a backend's revision.
    var parents: [MetricScopeName] {
        var found: [MetricScopeName] = []
        guard !model.isEmpty else { return found }
        if !backend.isEmpty, !revision.isEmpty {
            found.append(MetricScopeName(model: model, revision: revision))
        }
        if !revision.isEmpty { found.append(MetricScopeName(model: model)) }
        return found
    }
}

extension MetricScopeName {
    /// The scope of a series with these label values; nil where they name nothing that comes and goes.
    init?(names: [String], values: [String]) {
        for (name, value) in zip(names, values) where value != "-" {
            switch name {
            case "model": model = value
            case "revision": revision = value
            case "backend": backend = value
            default: break
            }
        }
        guard !model.isEmpty || !backend.isEmpty else { return nil }
    }
}

/// Keeps the series of a model, a revision or a backend for as long as it lives.
///
/// Hold one beside the handles: no handle may be used after it.
package final class MetricHold: Sendable {
    private let store: MetricStore
    private let name: MetricScopeName

    init(_ store: MetricStore, _ name: MetricScopeName) {
        self.store = store
        self.name = name
    }

    deinit { store.release(name) }
}
