import SluiceBalancing
import SluiceCore
import SluiceInference
import Yams

// One model and its revisions.
extension ConfigurationReader {
    func model(_ node: Node, _ index: Int) -> Configuration.Model? {
        let name = "models[\(index)]"
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        _ = section.required("name")
        var model = Configuration.Model(name: section.text("name") ?? "", revisions: [])
        if model.name.contains("/") || model.name.contains(":") || model.name.utf8.count > 256 {
            findings.add(
                "a model's name has no / or : and at most 256 bytes, unlike '\(model.name)'",
                at: node
            )
        }
        section.duration("timeout", from: .milliseconds(1), &model.timeout)
        if let node = section.value("loadBalancing") {
            let text = node.scalar?.string ?? ""
            if let known = LoadBalancing(rawValue: text) {
                model.loadBalancing = known
            } else {
                let names = LoadBalancing.allCases.map(\.rawValue).joined(separator: ", ")
                findings.add(
                    "`\(name).loadBalancing` must be one of \(names), not '\(Redaction.value(text))'",
                    at: node
                )
            }
        }
        if let node = section.value("health"),
            var health = Section(node, name: "\(name).health", findings)
        {
            health.duration("interval", from: .milliseconds(50), &model.health.interval)
            health.duration("timeout", from: .milliseconds(10), &model.health.timeout)
            if let path = health.text("path") { model.health.path = path }
            if model.health.path?.hasPrefix("/") == false {
                findings.add("`\(name).health.path` must begin with /", at: node)
            }
            health.finish()
        }
        if section.value("backendIdleTimeout") != nil {
            var idle = Duration.seconds(4)
            section.duration("backendIdleTimeout", from: .milliseconds(1), &idle)
            model.backendIdleTimeout = idle
        }
        if let node = section.value("tensors") {
            model.tensors = tensors(node, "\(name).tensors")
        }
        if let node = section.value("cache") { model.cache = modelCache(node, "\(name).cache") }
        if let node = section.value("mirror") { model.mirror = mirror(node, "\(name).mirror") }
        resilience(&section, &model)
        limits(&section, &model)
        for (place, node) in section.list("revisions").enumerated() {
            if let revision = revision(node, "\(name).revisions[\(place)]") {
                checkPlaceholder("revision", revision.name, at: node)
                if model.revisions.contains(where: { $0.name == revision.name }) {
                    findings.add(
                        "revision '\(revision.name)' stands twice in model '\(model.name)'",
                        at: node
                    )
                }
                model.revisions.append(revision)
            }
        }
        if let node = section.value("rollout") {
            model.rollout = rollout(node, "\(name).rollout", model)
        }
        checkSum(model, node)
        checkMirror(model, node)
        model.split = split(&section, model.revisions.map(\.name))
        return model
    }

    /// Refuses the names by which metrics say that there is no name, or no room for one.
    func checkPlaceholder(_ kind: String, _ name: String, at node: Node) {
        guard name == "-" || name == "other" else { return }
        findings.add(
            "a \(kind) can't be called '\(name)': metrics say so for none and for those beyond their bound; choose another name",
            at: node
        )
    }

    func checkSum(_ model: Configuration.Model, _ node: Node) {
        guard !model.revisions.isEmpty else { return }
        let sum = model.revisions.reduce(0) { $0 + $1.traffic }
        guard sum != 10_000 else { return }
        let at = node.mapping?["revisions"] ?? node
        findings.add(
            "the traffic of model '\(model.name)' sums to \(Units.percent(sum)), not 100",
            at: at
        )
    }

    func revision(_ node: Node, _ name: String) -> Configuration.Revision? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        _ = section.required("name")
        var revision = Configuration.Revision(
            name: section.text("name") ?? "",
            traffic: 10_000,
            backends: []
        )
        if let node = section.value("traffic") {
            if let points = Units.basisPoints(node.scalar?.string ?? "") {
                revision.traffic = points
            } else {
                findings.add(
                    "`\(name).traffic` must be a percentage from 0 to 100 with up to two decimals",
                    at: node
                )
            }
        }
        revision.modelName = section.text("modelName")
        if let node = section.value("dialect") {
            if let known = RuntimeKind(rawValue: node.scalar?.string ?? "") {
                revision.runtimeKind = known
            } else {
                let names = RuntimeKind.allCases.map(\.rawValue).joined(separator: ", ")
                findings.add(
                    "`\(name).dialect` must be one of \(names), not '\(Redaction.value(node.scalar?.string ?? ""))'",
                    at: node
                )
            }
        }
        backends(&section, name, of: &revision)
        return revision
    }
}
