import SluiceBalancing
import SluiceCore
import Yams

// When a request that is slow to be answered goes to another backend as well:
//
//     idempotent: true
//     hedge: {delay: 50ms, maxAttempts: 2}

extension ConfigurationReader {
    func hedge(
        _ section: inout Section,
        _ resilience: inout Configuration.Resilience,
        _ timeout: Duration
    ) {
        guard let node = section.value("hedge"),
            var part = Section(node, name: "\(section.name).hedge", findings)
        else { return }
        defer { part.finish() }
        guard let value = part.required("delay") else { return }
        var policy = HedgePolicy(delay: .zero)
        part.duration("delay", from: .milliseconds(1), &policy.delay)
        part.number("maxAttempts", 2...5, &policy.maxAttempts)
        guard policy.delay > .zero else { return }
        if policy.delay >= timeout {
            findings.add(
                "`\(part.name).delay` must be shorter than `\(section.name).timeout` (\(Units.text(timeout))); a usual answer's p95 is a good one",
                at: value
            )
        }
        if !resilience.retry.isIdempotent {
            findings.add(
                "`\(part.name)` sends a request to a second backend while the first is working on it: it needs `idempotent: true`",
                at: node
            )
        }
        resilience.hedge = policy
    }
}

extension HedgePolicy {
    /// As it is written.
    var yamlText: String { "{delay: \(Units.text(delay)), maxAttempts: \(maxAttempts)}" }
}
