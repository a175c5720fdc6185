private import Synchronization

/// What is wrong with a backend, as its last probe found it.
///
/// The probe writes it, and what shows the state reads it, on any thread.
package final class HealthNote: Sendable {
    private let text = Mutex<String?>(nil)

    /// A backend of which nothing is known.
    package init() {}

    /// What was asked and what came of it, such as `GET /v2/health/ready: 404`; nil while it is well.
    ///
    /// At most 256 characters, none of them a control character; without the query of a path.
    package internal(set) var reason: String? {
        get { text.withLock { $0 } }
        set { text.withLock { $0 = newValue.map(HealthNote.bounded) } }
    }

    private static let lengthMaximum = 256

    /// Backends choose some of the words, and terminals and logs show them.
    static func bounded(_ text: String) -> String {
        let shown = text.unicodeScalars.prefix(lengthMaximum).map {
            $0.properties.generalCategory == .control ? "?" : Character($0)
        }
        return String(shown)
    }
}
