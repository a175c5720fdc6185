/// What a model server can, as far as its callers' requests have to be told in other words for it.
package struct Runtime: Equatable, Sendable {
    /// What it says differently from others.
    package var runtimeKind: RuntimeKind
    /// Whether its REST side takes V1.
    package var speaksV1: Bool
    /// Whether its REST side takes V2.
    package var speaksV2: Bool

    /// A server of which everything is known.
    package init(_ runtimeKind: RuntimeKind, speaksV1: Bool, speaksV2: Bool) {
        self.runtimeKind = runtimeKind
        self.speaksV1 = speaksV1
        self.speaksV2 = speaksV2
    }

    /// What the servers of a dialect can.
    package init(_ runtimeKind: RuntimeKind) {
        self.runtimeKind = runtimeKind
        switch runtimeKind {
        case .triton, .mlserver, .v2json: (speaksV1, speaksV2) = (false, true)
        case .tfserving, .v1: (speaksV1, speaksV2) = (true, false)
        case .kserve, .generic: (speaksV1, speaksV2) = (true, true)
        }
    }

    /// What this one and `other` both can: requests go to either of them.
    package func common(with other: Runtime) -> Runtime {
        guard self != other else { return self }
        let speaksV1 = speaksV1 && other.speaksV1
        let speaksV2 = speaksV2 && other.speaksV2
        // Nothing suits both: each request is passed on as it came, and half of them find their server.
        guard speaksV1 || speaksV2 else { return Runtime(.generic) }
        var runtimeKind = runtimeKind
        if runtimeKind != other.runtimeKind {
            let readsBinary =
                runtimeKind.tensorForm != .json && other.runtimeKind.tensorForm != .json
            runtimeKind = !speaksV2 ? .v1 : readsBinary ? .generic : .v2json
        }
        return Runtime(runtimeKind, speaksV1: speaksV1, speaksV2: speaksV2)
    }
}
