/// The order of a list of models.
package enum ModelSort: String, CaseIterable, Sendable {
    /// As the file has them.
    case configuration
    case name
    /// Most requests first.
    case requests
    /// Largest share of failed answers first.
    case errors
    /// Slowest first, by p99.
    case latency
    /// What needs a look first.
    case health
}
