import SluiceCore
import SluiceHTTP
package import SluiceRouting
import Yams

extension Configuration {
    /// What decides on a request's revision before the weights do, in this order.
    package struct Split: Sendable, Equatable {
        /// Whether a client may name its revision in `x-sluice-revision`.
        package var allowRevisionHeader = false
        /// The first one that holds decides.
        package var routes: [Route] = []
        /// Absent: each request is drawn by itself.
        package var sticky: Sticky?

        /// Nothing: the weights alone decide.
        package init() {}
    }

    /// Requests that go to one revision whatever its weight.
    package struct Route: Sendable, Equatable {
        package var match: FieldMatch
        package var revision: String
    }

    /// Same user, same revision.
    package struct Sticky: Sendable, Equatable {
        package var source: FieldSource
        /// Another one deals all users anew.
        package var salt = ""
    }
}

// MARK: - Reading

extension ConfigurationReader {
    // The longest name or value to compare a request's with, in bytes.
    private static let textMaximum = 1024

    /// Reads `allowRevisionHeader`, `routes` and `sticky` of a model that has these revisions.
    func split(_ model: inout Section, _ revisions: [String]) -> Configuration.Split {
        var split = Configuration.Split()
        model.flag("allowRevisionHeader", &split.allowRevisionHeader)
        if let node = model.value("sticky") { split.sticky = sticky(node, "\(model.name).sticky") }
        guard let node = model.value("routes") else { return split }
        let nodes = model.list("routes")
        guard nodes.count <= RouteTable.routesMaximum else {
            findings.add(
                "`\(model.name).routes` has \(nodes.count) routes; \(RouteTable.routesMaximum) are the most, as each request tries them in turn",
                at: node
            )
            return split
        }
        for (place, node) in nodes.enumerated() {
            let name = "\(model.name).routes[\(place)]"
            guard let route = route(node, name, revisions) else { continue }
            if split.routes.contains(where: { $0.match.covers(route.match) }) {
                findings.add(
                    "`\(name)` is never reached: an earlier route takes all it matches; remove it or move it up",
                    at: node
                )
            }
            split.routes.append(route)
        }
        return split
    }

    private func sticky(_ node: Node, _ name: String) -> Configuration.Sticky? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        let source = source(&section)
        let salt = section.text("salt") ?? ""
        return source.map { Configuration.Sticky(source: $0, salt: salt) }
    }

    private func route(
        _ node: Node,
        _ name: String,
        _ revisions: [String]
    ) -> Configuration.Route? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        let revision = section.required("revision")
        let target = section.text("revision") ?? ""
        if let revision, !target.isEmpty, !revisions.contains(target) {
            findings.add(
                "`\(name).revision`: the model has no revision '\(target)'; known: \(revisions.joined(separator: ", "))",
                at: revision
            )
        }
        guard let node = section.required("match"),
            var match = Section(node, name: "\(name).match", findings)
        else { return nil }
        defer { match.finish() }
        let source = source(&match)
        let test = test(&match)
        guard let source, let test else { return nil }
        return Configuration.Route(
            match: FieldMatch(source: source, test: test),
            revision: target
        )
    }

    /// Exactly one of `header` and `cookie`; both are tokens (RFC 9110 §5.1, RFC 6265 §4.1.1).
    func source(_ section: inout Section) -> FieldSource? {
        let (header, cookie) = (section.value("header"), section.value("cookie"))
        guard (header == nil) != (cookie == nil) else {
            findings.add(
                header == nil
                    ? "`\(section.name)` needs `header: NAME` or `cookie: NAME`"
                    : "`\(section.name)` has both `header` and `cookie`; keep one",
                at: section.node
            )
            return nil
        }
        let key = header == nil ? "cookie" : "header"
        guard let text = section.text(key) else { return nil }
        let isToken = unsafe Array(text.utf8).withUnsafeBytes {
            unsafe FieldValidation.isToken($0) && $0.count <= ConfigurationReader.textMaximum
        }
        guard isToken else {
            findings.add(
                "`\(section.name).\(key)` must be a name of letters, digits and - _ . without spaces or colons, not '\(Redaction.value(text))'",
                at: header ?? cookie ?? section.node
            )
            return nil
        }
        // Names of fields don't differ by case, and come in lower case; those of cookies do.
        return header == nil ? .cookie(text) : .header(text.lowercased())
    }

    /// At most one of `value` and `prefix`.
    private func test(_ section: inout Section) -> FieldMatch.Test? {
        let (value, prefix) = (section.value("value"), section.value("prefix"))
        if value != nil, prefix != nil {
            findings.add(
                "`\(section.name)` has both `value` and `prefix`; keep one",
                at: section.node
            )
            return nil
        }
        guard let node = value ?? prefix else { return .present }
        let key = value == nil ? "prefix" : "value"
        guard let text = section.text(key) else { return nil }
        let bytes = Array(text.utf8)
        let canStand = unsafe bytes.withUnsafeBytes { bytes in
            // A prefix may end with a space, as more follows.
            unsafe (value == nil ? FieldValidation.isText(bytes) : FieldValidation.isValue(bytes))
                && bytes[0] > 0x20 && bytes.count <= ConfigurationReader.textMaximum
        }
        guard canStand else {
            findings.add(
                "`\(section.name).\(key)` can't be a header's value: at most \(ConfigurationReader.textMaximum) bytes, no control characters, no spaces around it",
                at: node
            )
            return nil
        }
        return value == nil ? .prefix(bytes) : .equals(bytes)
    }
}

// MARK: - Writing

extension Configuration {
    func splitLines(_ split: Split) -> [String] {
        var lines: [String] = []
        if split.allowRevisionHeader { lines.append("    allowRevisionHeader: true") }
        if let sticky = split.sticky {
            let salt = sticky.salt.isEmpty ? "" : ", salt: \(YAMLText.quoted(sticky.salt))"
            lines.append("    sticky: {\(text(sticky.source))\(salt)}")
        }
        if !split.routes.isEmpty { lines.append("    routes:") }
        for route in split.routes {
            let test =
                switch route.match.test {
                case .present: ""
                case .equals(let bytes):
                    ", value: \(YAMLText.quoted(String(decoding: bytes, as: UTF8.self)))"
                case .prefix(let bytes):
                    ", prefix: \(YAMLText.quoted(String(decoding: bytes, as: UTF8.self)))"
                }
            lines.append("      - match: {\(text(route.match.source))\(test)}")
            lines.append("        revision: \(YAMLText.quoted(route.revision))")
        }
        return lines
    }

    private func text(_ source: FieldSource) -> String {
        switch source {
        case .header(let name): "header: \(YAMLText.quoted(name))"
        case .cookie(let name): "cookie: \(YAMLText.quoted(name))"
        }
    }
}
