package import SluiceInference
import Synchronization

/// What the backends of a revision were found to be; shared by the probe, which asks them, and the
/// compiler of snapshots.
package final class RuntimeSlot: Sendable {
    private struct Found {
        var runtimes: [String: Runtime] = [:]
        var common: Runtime?

        /// Finds ``common`` anew; true when requests are to be told in other ways now.
        mutating func settle() -> Bool {
            let before = common
            // In an order of its own: what three have in common may depend on it.
            common = runtimes.sorted { $0.key < $1.key }.map(\.value).reduce(nil) { sum, next in
                sum.map { $0.common(with: next) } ?? next
            }
            return (common ?? Runtime(.generic)) != (before ?? Runtime(.generic))
        }
    }

    private let place = Mutex(Found())

    /// An empty slot.
    package init() {}

    /// What all backends that have told can; nil while none has.
    package var runtime: Runtime? { place.withLock { $0.common } }

    /// Takes what the backend `label` was found to be; true when that changes how requests are told.
    package func note(_ runtime: Runtime, of label: String) -> Bool {
        place.withLock { found in
            found.runtimes[label] = runtime
            return found.settle()
        }
    }

    /// Forgets all backends but these.
    package func keepOnly(_ labels: Set<String>) {
        place.withLock { found in
            found.runtimes = found.runtimes.filter { labels.contains($0.key) }
            // What was known of the last that left holds until the next has told.
            if !found.runtimes.isEmpty { _ = found.settle() }
        }
    }
}
