import Foundation
import SluiceBalancing
import SluiceInference
import Yams

extension Configuration {
    /// Reads a file; throws every diagnostic there is.
    package static func load(path: String) throws(ConfigurationFailure) -> Configuration {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ConfigurationFailure(diagnostics: [
                Diagnostic(file: path, line: 1, column: 1, message: "the file can't be read")
            ])
        }
        guard data.count <= 1 << 20, let text = String(data: data, encoding: .utf8) else {
            throw ConfigurationFailure(diagnostics: [
                Diagnostic(
                    file: path,
                    line: 1,
                    column: 1,
                    message: "the file must be UTF-8 text of at most 1 MiB"
                )
            ])
        }
        return try parse(yaml: text, file: path)
    }

    /// Reads YAML text; relative file names in it are relative to `file`'s folder.
    package static func parse(
        yaml: String,
        file: String
    ) throws(ConfigurationFailure) -> Configuration {
        let findings = Findings(file: file)
        var configuration = Configuration()
        if let root = compose(yaml, findings) {
            var reader = ConfigurationReader(findings: findings, folder: folder(of: file))
            configuration = reader.read(root)
        }
        guard findings.diagnostics.isEmpty else {
            throw ConfigurationFailure(
                diagnostics: findings.diagnostics.sorted {
                    ($0.line, $0.column) < ($1.line, $1.column)
                }
            )
        }
        return configuration
    }

    private static func folder(of file: String) -> String {
        guard let slash = file.lastIndex(of: "/") else { return "." }
        return slash == file.startIndex ? "/" : String(file[..<slash])
    }

    private static func compose(_ yaml: String, _ findings: Findings) -> Node? {
        do {
            // Each alias may expand a large node; a configuration needs few, a bomb needs many.
            guard yaml.filter({ $0 == "*" }).count <= 1000 else {
                findings.add("too many aliases", line: 1, column: 1)
                return nil
            }
            guard let root = try Yams.compose(yaml: yaml) else {
                findings.add(
                    "the configuration is empty; it needs `listeners` and `models`",
                    line: 1,
                    column: 1
                )
                return nil
            }
            return root
        } catch let error as YamlError {
            let (line, column, text) = place(of: error)
            findings.add(text, line: line, column: column)
        } catch {
            findings.add("this is not YAML: \(error)", line: 1, column: 1)
        }
        return nil
    }

    private static func place(of error: YamlError) -> (Int, Int, String) {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return (mark.line, mark.column, "this is not YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.map { "`\($0)`" }.sorted().joined(separator: ", ")
            return (
                context.mark.line, context.mark.column,
                "\(names) stands twice in this mapping; keep one"
            )
        default: return (1, 1, "this is not YAML: \(error)")
        }
    }
}

/// Walks the document, section by section.
struct ConfigurationReader {
    let findings: Findings
    let folder: String

    mutating func read(_ root: Node) -> Configuration {
        var result = Configuration()
        guard var top = Section(root, name: "", findings) else { return result }
        for (index, node) in top.list("listeners").enumerated() {
            if let listener = listener(node, index) { result.listeners.append(listener) }
        }
        if let node = top.value("admin"), var admin = Section(node, name: "admin", findings) {
            if let address = address(&admin, "address") { result.admin = address }
            admin.unavailable([
                "tokenFile": "the admin API changes nothing yet; remove it",
                "stateFile": "weights can't be shifted at run time yet; remove it",
            ])
            admin.finish()
        }
        top.number("workers", 0...1024, &result.workers)
        top.duration("drainTimeout", from: .zero, &result.drainTimeout)
        top.duration("drainDelay", from: .zero, &result.drainDelay)
        if let text = top.text("accessLog") {
            result.accessLog =
                switch text {
                case "stdout": .stdout
                case "stderr": .stderr
                case "off", "false": .off
                default: .file(resolved(text))
                }
        }
        if let node = top.value("limits") { limits(node, &result.limits) }
        for (index, node) in top.list("models").enumerated() {
            if let model = model(node, index) {
                if result.models.contains(where: { $0.name == model.name }) {
                    findings.add(
                        "model '\(model.name)' stands twice; names must differ",
                        at: node
                    )
                }
                result.models.append(model)
            }
        }
        if let node = top.value("cache") { cache(node, &result.cache) }
        top.finish()
        return result
    }

    // MARK: - Listeners

    private func listener(_ node: Node, _ index: Int) -> Configuration.Listener? {
        guard var section = Section(node, name: "listeners[\(index)]", findings) else { return nil }
        defer { section.finish() }
        _ = section.required("address")
        let address = address(&section, "address")
        var tls: Configuration.ListenerTLS?
        if let node = section.value("tls"),
            var part = Section(node, name: "listeners[\(index)].tls", findings)
        {
            let certificate = file(&part, "certificate", isRequired: true)
            let key = file(&part, "privateKey", isRequired: true)
            let authority = file(&part, "clientCA", isRequired: false)
            part.finish()
            if let certificate, let key {
                tls = Configuration.ListenerTLS(
                    certificate: certificate,
                    privateKey: key,
                    clientCA: authority
                )
            }
        }
        return address.map { Configuration.Listener(address: $0, tls: tls) }
    }

    private func address(
        _ section: inout Section,
        _ key: String
    ) -> Configuration.ListenAddress? {
        guard let node = section.value(key) else { return nil }
        guard let text = node.scalar?.string, let address = Configuration.ListenAddress(text) else {
            findings.add(
                "`\(section.name).\(key)` must be HOST:PORT, such as 0.0.0.0:8080 or [::1]:8080",
                at: node
            )
            return nil
        }
        return address
    }

    private func limits(_ node: Node, _ limits: inout Configuration.Limits) {
        guard var section = Section(node, name: "limits", findings) else { return }
        section.bytes("maxRequestBytes", from: 1, &limits.maxRequestBytes)
        section.bytes("maxHeaderBytes", from: 1024, &limits.maxHeaderBytes)
        section.number("maxConnections", 1...10_000_000, &limits.maxConnections)
        section.number("maxConcurrentStreams", 1...100_000, &limits.maxConcurrentStreams)
        section.duration("headerTimeout", from: .milliseconds(10), &limits.headerTimeout)
        section.duration("bodyTimeout", from: .milliseconds(10), &limits.bodyTimeout)
        section.duration("idleTimeout", from: .milliseconds(10), &limits.idleTimeout)
        section.finish()
    }

    // MARK: - Models

    private func model(_ node: Node, _ index: Int) -> Configuration.Model? {
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
            } else if ["peakEwma", "ringHash"].contains(text) {
                findings.add(
                    "`\(name).loadBalancing: \(text)` is not available in this version; use leastRequest",
                    at: node
                )
            } else {
                let names = LoadBalancing.allCases.map(\.rawValue).joined(separator: ", ")
                findings.add(
                    "`\(name).loadBalancing` must be one of \(names), not '\(text)'",
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
            if !model.health.path.hasPrefix("/") {
                findings.add("`\(name).health.path` must begin with /", at: node)
            }
            health.finish()
        }
        if let node = section.value("cache") { model.cache = modelCache(node, "\(name).cache") }
        section.unavailable([
            "sticky": "remove it", "routes": "remove it",
            "mirror": "remove it", "hashOn": "remove it",
        ])
        for (place, node) in section.list("revisions").enumerated() {
            if let revision = revision(node, "\(name).revisions[\(place)]") {
                if model.revisions.contains(where: { $0.name == revision.name }) {
                    findings.add(
                        "revision '\(revision.name)' stands twice in model '\(model.name)'",
                        at: node
                    )
                }
                model.revisions.append(revision)
            }
        }
        checkSum(model, node)
        return model
    }

    private func checkSum(_ model: Configuration.Model, _ node: Node) {
        guard !model.revisions.isEmpty else { return }
        let sum = model.revisions.reduce(0) { $0 + $1.traffic }
        guard sum != 10_000 else { return }
        let at = node.mapping?["revisions"] ?? node
        findings.add(
            "the traffic of model '\(model.name)' sums to \(ConfigurationReader.percent(sum)), not 100",
            at: at
        )
    }

    /// Basis points as the percentage they were written as.
    static func percent(_ points: Int) -> String {
        let (whole, rest) = points.quotientAndRemainder(dividingBy: 100)
        guard rest != 0 else { return "\(whole)" }
        let digits = rest < 10 ? "0\(rest)" : "\(rest)"
        return "\(whole).\(digits.hasSuffix("0") ? String(digits.dropLast()) : digits)"
    }

    private func revision(_ node: Node, _ name: String) -> Configuration.Revision? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        _ = section.required("name")
        var revision = Configuration.Revision(
            name: section.text("name") ?? "",
            traffic: 10_000,
            backends: []
        )
        if let node = section.value("traffic") {
            if let points = basisPoints(node.scalar?.string ?? "") {
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
            if let known = Dialect(rawValue: node.scalar?.string ?? "") {
                revision.dialect = known
            } else {
                let names = Dialect.allCases.map(\.rawValue).joined(separator: ", ")
                findings.add(
                    "`\(name).dialect` must be one of \(names), not '\(node.scalar?.string ?? "")'",
                    at: node
                )
            }
        }
        for (place, node) in section.list("backends").enumerated() {
            if let backend = backend(node, "\(name).backends[\(place)]") {
                revision.backends.append(backend)
            }
        }
        if revision.modelName != nil, revision.backends.contains(where: { $0.grpc != nil }) {
            findings.add(
                "`\(name).modelName` is not available for gRPC backends in this version; give the model its name there or use `rest`",
                at: section.value("modelName") ?? node
            )
        }
        return revision
    }

    private func basisPoints(_ text: String) -> Int? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, let whole = Int(parts[0]), (0...100).contains(whole) else {
            return nil
        }
        var fraction = 0
        if parts.count == 2 {
            guard (1...2).contains(parts[1].count), let digits = Int(parts[1]), digits >= 0 else {
                return nil
            }
            fraction = parts[1].count == 1 ? digits * 10 : digits
        }
        let points = whole * 100 + fraction
        return points <= 10_000 ? points : nil
    }

    private func backend(_ node: Node, _ name: String) -> Configuration.Backend? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        var backend = Configuration.Backend()
        backend.rest = url(&section, "rest")
        backend.grpc = url(&section, "grpc")
        section.unavailable([
            "dns": "name the host in `rest` or `grpc`", "protocol": "use `rest` or `grpc`",
        ])
        if let node = section.value("tls"), var tls = Section(node, name: "\(name).tls", findings) {
            var part = Configuration.BackendTLS()
            part.ca = file(&tls, "ca", isRequired: false)
            part.certificate = file(&tls, "certificate", isRequired: false)
            part.privateKey = file(&tls, "privateKey", isRequired: false)
            part.serverName = tls.text("serverName")
            tls.flag("insecureSkipVerify", &part.insecureSkipVerify)
            if (part.certificate == nil) != (part.privateKey == nil) {
                findings.add("`certificate` and `privateKey` come together", at: node)
            }
            tls.finish()
            backend.tls = part
        }
        if section.value("rest") == nil, section.value("grpc") == nil {
            findings.add("`\(name)` needs `rest:` or `grpc:` (a URL), or both", at: node)
            return nil
        }
        return backend
    }

    private func url(_ section: inout Section, _ key: String) -> Configuration.BackendURL? {
        guard let node = section.value(key) else { return nil }
        let text = node.scalar?.string ?? ""
        guard let url = Configuration.BackendURL(text) else {
            findings.add(
                "`\(section.name).\(key)` must be http://HOST:PORT, h2c://HOST:PORT or https://HOST:PORT without a path, not '\(text)'",
                at: node
            )
            return nil
        }
        return url
    }

    // MARK: - Files

    private func resolved(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(folder)/\(path)"
    }

    private func file(_ section: inout Section, _ key: String, isRequired: Bool) -> String? {
        guard let node = isRequired ? section.required(key) : section.value(key) else { return nil }
        guard let text = node.scalar?.string, !text.isEmpty else {
            findings.add("`\(section.name).\(key)` must be a file's name", at: node)
            return nil
        }
        let path = resolved(text)
        guard FileManager.default.isReadableFile(atPath: path) else {
            findings.add("`\(section.name).\(key)`: no readable file at \(path)", at: node)
            return nil
        }
        return path
    }
}

extension Configuration.BackendURL {
    /// Takes `scheme://host[:port]` apart; nil when it is something else.
    package init?(_ text: String) {
        guard let separator = text.range(of: "://"),
            let scheme = Scheme(rawValue: String(text[..<separator.lowerBound]))
        else { return nil }
        var rest = text[separator.upperBound...]
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        var host = String(rest)
        var port: UInt16 = scheme == .https ? 443 : 80
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("]") {
            guard let number = UInt16(rest[rest.index(after: colon)...]), number > 0 else {
                return nil
            }
            port = number
            host = String(rest[..<colon])
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty,
            host.utf8.allSatisfy({
                $0 > 0x20 && $0 < 0x7F && !"/?#@[]\\".utf8.contains($0)
            })
        else { return nil }
        self.init(scheme: scheme, host: host, port: port)
    }
}
