import SluiceConfiguration
package import SluiceWire

/// One model in one line: what a list of many models shows of it.
///
/// Numbers are rounded to what a person reads, so that noise in the last digits is no change.
package struct ModelSummary: Sendable, Equatable {
    /// A revision and its weight.
    package struct Share: Sendable, Equatable {
        package var name: String
        /// Basis points.
        package var traffic: Int

        /// The revision called `name` with a weight in basis points.
        package init(_ name: String, _ traffic: Int) {
            self.name = name
            self.traffic = traffic
        }
    }

    /// How many revisions a line names.
    package static let shareMaximum = 8

    package var name: String
    /// The first revisions, in the file's order; ``shareMaximum`` at most.
    package var shares: [Share] = []
    package var revisionCount = 0
    package var requestsPerSecond = 0.0
    /// Nil without answers.
    package var errorRatio: Double?
    /// The slowest revision's; nil without answers.
    package var p99Seconds: Double?
    package var inFlight = 0
    package var isCached = false
    /// Nil without look-ups.
    package var cacheHitRatio: Double?
    package var backends = 0
    /// Those that take requests.
    package var backendsUp = 0
    /// The status of its rollout; nil without one.
    package var rollout: String?

    /// A model at rest.
    package init(name: String) { self.name = name }

    /// How much it needs a look: 3 while it can't serve, 2 while backends are missing, 1 while
    /// a hundredth of the answers fail or a rollout was rolled back, 0 while all is well.
    package var severity: Int {
        if backendsUp == 0 { return 3 }
        if backendsUp < backends { return 2 }
        return (errorRatio ?? 0) >= 0.01 || rollout == "rolledBack" ? 1 : 0
    }

    /// The line as the stream writes it; members are called as in a model's own object.
    package var json: JSONValue {
        .object([
            .init("name", .string(name)),
            .init(
                "revisions",
                .array(
                    shares.map {
                        .object([
                            .init("name", .string($0.name)),
                            .init("traffic", .number(Configuration.percent($0.traffic))),
                        ])
                    }
                )
            ),
            .init("revisionCount", .number("\(revisionCount)")),
            .init("requestsPerSecond", .rounded(requestsPerSecond)),
            .init("errorRatio", .rounded(errorRatio)), .init("p99Seconds", .rounded(p99Seconds)),
            .init("inFlight", .number("\(inFlight)")),
            .init(
                "cache",
                isCached ? .object([.init("hitRatio", .rounded(cacheHitRatio))]) : .null
            ),
            .init("backendCount", .number("\(backends)")),
            .init("backendsUp", .number("\(backendsUp)")),
            .init(
                "rollout",
                rollout.map { .object([.init("status", .string($0))]) } ?? .null
            ),
        ])
    }

    /// `value` with three digits that count; a share of 1 has no more than four decimals.
    package static func legible(_ value: Double) -> Double {
        guard value.isFinite, value != 0 else { return 0 }
        var unit = 1.0
        while abs(value) * unit < 100, unit < 1e6 { unit *= 10 }
        return (value * unit).rounded() / unit
    }
}
