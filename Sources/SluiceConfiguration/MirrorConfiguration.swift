import SluiceCore
import Yams

extension Configuration {
    /// Which share of a model's predictions is copied to which revision.
    package struct Mirror: Sendable, Equatable {
        /// The revision that gets the copies.
        package var revision: String
        /// The share of what other revisions answer, in basis points.
        package var share = 10_000
        /// Copies under way, over all workers.
        package var maxInFlight = 32
        /// Bytes of a request that is copied.
        package var maxBytes = 1 << 20
        /// Whether the shadow's answers are compared with those the callers got.
        package var compare = true
        /// How far numbers may lie apart to be close.
        package var tolerance = 1e-6
    }
}

// MARK: - Reading

extension ConfigurationReader {
    func mirror(_ node: Node, _ name: String) -> Configuration.Mirror? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        _ = section.required("revision")
        var mirror = Configuration.Mirror(revision: section.text("revision") ?? "")
        if let node = section.required("percent") {
            if let points = Units.basisPoints(node.scalar?.string ?? "") {
                mirror.share = points
            } else {
                findings.add(
                    "`\(name).percent` must be a percentage from 0 to 100 with up to two decimals",
                    at: node
                )
            }
        }
        section.number("maxInFlight", 1...100_000, &mirror.maxInFlight)
        section.bytes("maxBytes", from: 1, &mirror.maxBytes)
        section.flag("compare", &mirror.compare)
        if let node = section.value("tolerance") {
            let text = node.scalar?.string ?? ""
            if let tolerance = Double(text), tolerance >= 0, tolerance.isFinite {
                mirror.tolerance = tolerance
            } else {
                findings.add(
                    "`\(name).tolerance` must be a number from 0 up, such as 1e-6, not '\(Redaction.value(text))'",
                    at: node
                )
            }
        }
        return mirror
    }

    /// The shadow must be one of the model's revisions, and others must get what it is to copy.
    func checkMirror(_ model: Configuration.Model, _ node: Node) {
        guard let mirror = model.mirror, !mirror.revision.isEmpty else { return }
        let at = node.mapping?["mirror"]?.mapping?["revision"] ?? node
        guard let revision = model.revisions.first(where: { $0.name == mirror.revision }) else {
            let names = model.revisions.map(\.name).joined(separator: ", ")
            findings.add(
                "model '\(model.name)' has no revision '\(mirror.revision)' to mirror to; it has \(names)",
                at: at
            )
            return
        }
        if revision.traffic == 10_000 {
            findings.add(
                "revision '\(revision.name)' takes all traffic of model '\(model.name)' and would be its own mirror; mirror to another one",
                at: at
            )
        }
    }
}

// MARK: - Writing

extension Configuration.Mirror {
    /// As YAML in one line.
    var yamlText: String {
        let plain = Configuration.Mirror(revision: revision)
        var fields = [
            "revision: \(YAMLText.quoted(revision))", "percent: \(Units.percent(share))",
        ]
        if maxInFlight != plain.maxInFlight { fields.append("maxInFlight: \(maxInFlight)") }
        if maxBytes != plain.maxBytes { fields.append("maxBytes: \(Units.text(bytes: maxBytes))") }
        if !compare { fields.append("compare: false") }
        if tolerance != plain.tolerance { fields.append("tolerance: \(tolerance)") }
        return "{\(fields.joined(separator: ", "))}"
    }
}
