package import SluiceBalancing
import SluiceCore
package import SluiceRouting
import Yams

extension Configuration {
    /// What a model does when backends fail, are full, or have just come up.
    package struct Resilience: Sendable, Equatable {
        /// When backends are ejected.
        package var outlier = OutlierPolicy()
        /// How long a backend that came up takes to get its whole share.
        package var slowStart = Duration.zero
        /// What is sent again.
        package var retry = RetryPolicy()
        /// When a slow request goes to another backend as well; nil is never.
        package var hedge: HedgePolicy?
        /// Requests that may wait for a backend with `maxInFlight`.
        package var maxQueue = 1_000
        /// How long they may wait; absent is the model's timeout, 5 s at most.
        package var queueTimeout: Duration?
        /// What `ringHash` goes by.
        package var hashOn: FieldSource?

        /// The defaults.
        package init() {}
    }

    /// A backend's part beside the others', and what it takes at once.
    package struct BackendShare: Sendable, Equatable {
        /// Its weight; 0 takes no new requests.
        package var weight = 1
        /// Requests it may have at once; 0 is no limit.
        package var maxInFlight = 0

        /// The defaults.
        package init() {}
    }
}

// MARK: - Reading

extension ConfigurationReader {
    func resilience(_ section: inout Section, _ model: inout Configuration.Model) {
        var resilience = Configuration.Resilience()
        if let node = section.value("outlier"),
            var outlier = Section(node, name: "\(section.name).outlier", findings)
        {
            outlier.number("consecutiveFailures", 0...255, &resilience.outlier.consecutiveFailures)
            outlier.duration(
                "baseEjection",
                from: .milliseconds(1),
                &resilience.outlier.baseEjection
            )
            outlier.number("maxEjectedPercent", 0...100, &resilience.outlier.maxEjectedPercent)
            outlier.number("panicPercent", 0...100, &resilience.outlier.panicPercent)
            outlier.finish()
        }
        section.duration("slowStart", from: .zero, &resilience.slowStart)
        section.number("maxQueue", 0...1_000_000, &resilience.maxQueue)
        if section.value("queueTimeout") != nil {
            var timeout = Duration.seconds(5)
            section.duration("queueTimeout", from: .milliseconds(1), &timeout)
            resilience.queueTimeout = timeout
        }
        section.number("retries", 0...10, &resilience.retry.attempts)
        section.flag("idempotent", &resilience.retry.isIdempotent)
        section.bytes("retryBufferBytes", from: 0, &resilience.retry.bufferBytes)
        if resilience.retry.bufferBytes > 1 << 20, let node = section.value("retryBufferBytes") {
            findings.add("`\(section.name).retryBufferBytes` must be at most 1MiB", at: node)
        }
        section.duration("tryTimeout", from: .milliseconds(1), &resilience.retry.tryTimeout)
        if resilience.retry.tryTimeout > .zero, !resilience.retry.isIdempotent,
            let node = section.value("tryTimeout")
        {
            findings.add(
                "`\(section.name).tryTimeout` sends a request to a second backend that the first may be working on: it needs `idempotent: true`",
                at: node
            )
        }
        hedge(&section, &resilience, model.timeout)
        resilience.hashOn = hashSource(&section, model)
        model.resilience = resilience
    }

    private func hashSource(
        _ section: inout Section,
        _ model: Configuration.Model
    ) -> FieldSource? {
        guard let node = section.value("hashOn") else {
            if model.loadBalancing == .ringHash {
                findings.add(
                    "`\(section.name).loadBalancing: ringHash` needs `hashOn: {header: NAME}` or `hashOn: {cookie: NAME}`",
                    at: section.node
                )
            }
            return nil
        }
        guard var source = Section(node, name: "\(section.name).hashOn", findings) else {
            return nil
        }
        defer { source.finish() }
        if model.loadBalancing != .ringHash {
            findings.add(
                "`\(section.name).hashOn` is for `loadBalancing: ringHash`, not \(model.loadBalancing.rawValue)",
                at: node
            )
        }
        return self.source(&source)
    }

    func share(_ section: inout Section) -> Configuration.BackendShare {
        var share = Configuration.BackendShare()
        section.number("weight", 0...1_000, &share.weight)
        section.number("maxInFlight", 0...1_000_000, &share.maxInFlight)
        return share
    }
}

// MARK: - Writing

extension Configuration.Resilience {
    /// The model's lines of YAML, without those that equal their default.
    var yamlLines: [String] {
        let plain = Configuration.Resilience()
        var lines: [String] = []
        if outlier != plain.outlier {
            lines += [
                "    outlier:", "      consecutiveFailures: \(outlier.consecutiveFailures)",
                "      baseEjection: \(Units.text(outlier.baseEjection))",
                "      maxEjectedPercent: \(outlier.maxEjectedPercent)",
                "      panicPercent: \(outlier.panicPercent)",
            ]
        }
        if slowStart != plain.slowStart { lines.append("    slowStart: \(Units.text(slowStart))") }
        if maxQueue != plain.maxQueue { lines.append("    maxQueue: \(maxQueue)") }
        if let queueTimeout { lines.append("    queueTimeout: \(Units.text(queueTimeout))") }
        if retry.attempts != plain.retry.attempts { lines.append("    retries: \(retry.attempts)") }
        if retry.isIdempotent { lines.append("    idempotent: true") }
        if retry.bufferBytes != plain.retry.bufferBytes {
            lines.append("    retryBufferBytes: \(Units.text(bytes: retry.bufferBytes))")
        }
        if retry.tryTimeout > .zero {
            lines.append("    tryTimeout: \(Units.text(retry.tryTimeout))")
        }
        if let hedge { lines.append("    hedge: \(hedge.yamlText)") }
        switch hashOn {
        case .header(let name): lines.append("    hashOn: {header: \(YAMLText.quoted(name))}")
        case .cookie(let name): lines.append("    hashOn: {cookie: \(YAMLText.quoted(name))}")
        case nil: break
        }
        return lines
    }
}

extension Configuration.BackendShare {
    /// The backend's fields of YAML, without those that equal their default.
    var yamlFields: [String] {
        let plain = Configuration.BackendShare()
        var fields: [String] = []
        if weight != plain.weight { fields.append("weight: \(weight)") }
        if maxInFlight != plain.maxInFlight { fields.append("maxInFlight: \(maxInFlight)") }
        return fields
    }
}
