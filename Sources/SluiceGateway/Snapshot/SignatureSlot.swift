package import SluiceInference
import Synchronization

/// Where a revision's tensors are described, once a backend has told; shared by probe and workers.
///
/// V1 leaves out what V2 needs to say, so a translation between them waits for this.
package final class SignatureSlot: Sendable {
    private let place = Mutex<ModelSignature?>(nil)

    /// An empty slot.
    package init() {}

    /// The signature, once known.
    package var signature: ModelSignature? { place.withLock { $0 } }

    func fill(_ signature: ModelSignature) { place.withLock { $0 = signature } }
}
