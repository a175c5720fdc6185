package import SluiceWire

/// All models together.
package struct ModelTotals: Sendable, Equatable {
    package var models = 0
    package var requestsPerSecond = 0.0
    package var errorsPerSecond = 0.0
    package var inFlight = 0
    package var backends = 0
    package var backendsUp = 0
    /// Models with a ``ModelSummary/severity`` above 0.
    package var troubled = 0

    /// No models.
    package init() {}

    /// Counts a model.
    package mutating func add(_ model: ModelSummary) {
        models += 1
        requestsPerSecond += model.requestsPerSecond
        errorsPerSecond += model.requestsPerSecond * (model.errorRatio ?? 0)
        inFlight += model.inFlight
        backends += model.backends
        backendsUp += model.backendsUp
        if model.severity > 0 { troubled += 1 }
    }

    /// The totals as the stream writes them.
    package var json: JSONValue {
        let ratio = requestsPerSecond > 0 ? errorsPerSecond / requestsPerSecond : nil
        return .object([
            .init("models", .number("\(models)")), .init("troubled", .number("\(troubled)")),
            .init("requestsPerSecond", .rounded(ModelSummary.legible(requestsPerSecond))),
            .init("errorRatio", .rounded(ratio.map(ModelSummary.legible))),
            .init("inFlight", .number("\(inFlight)")),
            .init("backendCount", .number("\(backends)")),
            .init("backendsUp", .number("\(backendsUp)")),
        ])
    }
}
