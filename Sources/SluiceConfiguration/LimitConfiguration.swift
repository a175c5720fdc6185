import SluiceBalancing
import SluiceCore
import SluiceHTTP
import Yams

// What a model's callers may send, and what its revisions are given at once:
//
//     rateLimit: {rate: 100/s, burst: 200, per: client}     or a list of up to four
//     adaptiveConcurrency: {min: 4, max: 1000}

// MARK: - Reading

extension ConfigurationReader {
    private static let rateLimitsMaximum = 4

    func limits(_ section: inout Section, _ model: inout Configuration.Model) {
        if let node = section.value("rateLimit") {
            let name = "\(section.name).rateLimit"
            if let list = node.sequence {
                if list.isEmpty || list.count > ConfigurationReader.rateLimitsMaximum {
                    findings.add(
                        "`\(name)` must be one limit or a list of up to \(ConfigurationReader.rateLimitsMaximum)",
                        at: node
                    )
                }
                for (place, node) in list.enumerated() {
                    rateLimit(node, "\(name)[\(place)]", &model)
                }
            } else {
                rateLimit(node, name, &model)
            }
        }
        if let node = section.value("adaptiveConcurrency") {
            model.adaptiveConcurrency = bounds(node, "\(section.name).adaptiveConcurrency")
        }
    }

    /// A full cache alone must not be a shortage.
    func checkMemory(_ configuration: Configuration, _ root: Node) {
        let maximum = configuration.limits.maxMemory
        guard maximum > 0, configuration.models.contains(where: { $0.cache != nil }),
            configuration.cache.maxBytes > maximum / 4 * 3
        else { return }
        findings.add(
            "`limits.maxMemory` (\(Units.text(bytes: maximum))) must leave a quarter beside `cache.memory.maxBytes` (\(Units.text(bytes: configuration.cache.maxBytes)))",
            at: root.mapping?["limits"]?.mapping?["maxMemory"] ?? root
        )
    }

    private func rateLimit(_ node: Node, _ name: String, _ model: inout Configuration.Model) {
        guard var section = Section(node, name: name, findings) else { return }
        defer { section.finish() }
        let scope = scope(&section)
        guard let value = section.required("rate") else { return }
        let text = value.scalar?.string ?? ""
        guard let (rate, period) = ConfigurationReader.rate(text) else {
            findings.add(
                "`\(name).rate` must be requests per second, minute or hour, such as 100/s, 30/m or 500/h, from 1 to \(RateLimit.maximum), not '\(Redaction.value(text))'",
                at: value
            )
            return
        }
        var burst = rate
        section.number("burst", 1...RateLimit.maximum, &burst)
        guard let scope else { return }
        if model.rateLimits.contains(where: { $0.scope == scope }) {
            findings.add(
                "`\(name)`: another limit is `per` the same; keep the tighter one",
                at: node
            )
            return
        }
        model.rateLimits.append(RateLimit(rate: rate, per: period, burst: burst, scope: scope))
    }

    /// `100/s` as its number and its time.
    private static func rate(_ text: String) -> (Int, RateLimit.Period)? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let rate = Int(parts[0]), (1...RateLimit.maximum).contains(rate),
            let period = RateLimit.Period(rawValue: String(parts[1]))
        else { return nil }
        return (rate, period)
    }

    private func scope(_ section: inout Section) -> RateLimit.Scope? {
        guard let node = section.value("per") else { return .model }
        switch node.scalar?.string {
        case "model": return .model
        case "client": return .client
        default: break
        }
        guard node.mapping != nil,
            var part = Section(node, name: "\(section.name).per", findings)
        else {
            findings.add(
                "`\(section.name).per` must be model, client or {header: NAME}",
                at: node
            )
            return nil
        }
        defer { part.finish() }
        guard let value = part.required("header"), let text = part.text("header") else {
            return nil
        }
        let isToken = unsafe Array(text.utf8).withUnsafeBytes {
            unsafe FieldValidation.isToken($0)
        }
        guard isToken else {
            findings.add(
                "`\(part.name).header` must be a header's name, not '\(Redaction.value(text))'",
                at: value
            )
            return nil
        }
        // Names of fields don't differ by case, and come in lower case.
        return .header(text.lowercased())
    }

    private func bounds(_ node: Node, _ name: String) -> ConcurrencyBounds? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        let plain = ConcurrencyBounds()
        var (minimum, maximum) = (plain.minimum, plain.maximum)
        section.number("min", 1...1_000_000, &minimum)
        section.number("max", 1...1_000_000, &maximum)
        guard minimum <= maximum else {
            findings.add("`\(name).min` must not be above `max`: \(minimum), \(maximum)", at: node)
            return nil
        }
        return ConcurrencyBounds(minimum: minimum, maximum: maximum)
    }
}

// MARK: - Writing

extension Configuration {
    func modelLimitLines(_ model: Model) -> [String] {
        var lines: [String] = []
        if !model.rateLimits.isEmpty { lines.append("    rateLimit:") }
        for limit in model.rateLimits {
            let scope =
                switch limit.scope {
                case .model: "model"
                case .client: "client"
                case .header(let name): "{header: \(YAMLText.quoted(name))}"
                }
            lines.append(
                "      - {rate: \(limit.rateText), burst: \(limit.burst), per: \(scope)}"
            )
        }
        if let bounds = model.adaptiveConcurrency {
            lines.append(
                "    adaptiveConcurrency: {min: \(bounds.minimum), max: \(bounds.maximum)}"
            )
        }
        return lines
    }
}
