package import SluiceInference
import Synchronization

/// Where a revision's tensors are described, by its configuration or once a backend has told; shared by
/// probe and workers.
///
/// V1 leaves out what V2 needs to say, so a translation between them waits for this.
package final class SignatureSlot: Sendable {
    private let place: Mutex<ModelSignature?>
    /// What the configuration says; then no backend is asked.
    package let configured: ModelSignature?

    /// A slot that a backend is to fill, unless the configuration has.
    package init(configured: ModelSignature? = nil) {
        self.configured = configured
        place = Mutex(configured)
    }

    /// The signature, once known.
    package var signature: ModelSignature? { place.withLock { $0 } }

    func fill(_ signature: ModelSignature) { place.withLock { $0 = signature } }
}
