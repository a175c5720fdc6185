package import SluiceConfiguration
package import SluiceGateway
package import SluiceWire

/// Every way in which the running state can change.
package enum Change: Sendable {
    /// Read the file again.
    case reload
    /// Move a model's traffic.
    case shift(TrafficShift)
    /// Back to the weights that the file says.
    case unshift(model: String, isWarmed: Bool = true)
    /// Take a backend out of rotation, or back in.
    case backend(model: String, revision: String, address: String, state: BackendState)
    /// Use what names were found to be since this was last done (``ChangeCoordinator/found(_:_:)``).
    case names
    /// Use what backends were found to be.
    case runtimes
    /// Remember where a model's rollout stands, or nil once it is over; moves nothing.
    case rollout(model: String, record: JSONValue?)
}

/// Weights that a model is to have.
package struct TrafficShift: Sendable {
    package var model: String
    /// Basis points by revision; who isn't named gets none.
    package var weights: [String: Int]
    /// The generation the caller has seen: refused if the model's weights moved after it.
    package var seenGeneration: Int?
    /// Says what would be, and changes nothing.
    package var isDryRun: Bool
    /// Whether revisions that take weight for the first time are warmed before, if the model says how.
    package var isWarmed: Bool

    /// A shift.
    package init(
        model: String,
        weights: [String: Int],
        seenGeneration: Int? = nil,
        isDryRun: Bool = false,
        isWarmed: Bool = true
    ) {
        self.model = model
        self.weights = weights
        self.seenGeneration = seenGeneration
        self.isDryRun = isDryRun
        self.isWarmed = isWarmed
    }
}

/// What a change has led to.
package struct Applied: Sendable {
    /// The state with the change in it; for a dry run, as it would be.
    package var snapshot: Snapshot
    /// What the caller should know besides.
    package var notes: [String]
}

/// Why a change was not made; the state is as it was.
package struct ChangeError: Error, Sendable {
    /// What kind of refusal it is.
    package enum Kind: Sendable {
        /// It names what doesn't exist.
        case unknown
        /// It can't be done as it was asked.
        case invalid
        /// Somebody else was faster.
        case conflict
        /// Too many changes wait.
        case busy
    }

    package var kind: Kind
    /// What is wrong and what would be right.
    package var sentence: String
    /// For a refused file, everything that is wrong with it.
    package var diagnostics: [Diagnostic] = []

    /// A refusal.
    package init(_ kind: Kind, _ sentence: String, diagnostics: [Diagnostic] = []) {
        self.kind = kind
        self.sentence = sentence
        self.diagnostics = diagnostics
    }
}
