import Foundation
import SluiceBalancing
import SluiceCore
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
                    ($0.file, $0.line, $0.column) < ($1.file, $1.line, $1.column)
                }
            )
        }
        return configuration
    }

    static func folder(of file: String) -> String {
        guard let slash = file.lastIndex(of: "/") else { return "." }
        return slash == file.startIndex ? "/" : String(file[..<slash])
    }
}

/// Walks the document, section by section.
struct ConfigurationReader {
    let findings: Findings
    let folder: String

    mutating func read(_ root: Node) -> Configuration {
        var result = Configuration()
        guard var top = Section(root, name: "", findings) else { return result }
        var taken = TakenAddresses()
        for (index, node) in top.list("listeners").enumerated() {
            if let listener = listener(node, index) {
                taken.take(listener.address, "listeners[\(index)].address", node, findings)
                result.listeners.append(listener)
            }
        }
        let adminNode = top.value("admin")
        if let adminNode { admin(adminNode, &result.admin) }
        taken.take(result.admin.address, "admin.address", adminNode ?? root, findings)
        top.flag("watch", &result.watch)
        top.duration("dnsInterval", from: .seconds(1), &result.dnsInterval)
        top.number("workers", 0...1024, &result.workers)
        top.duration("drainTimeout", from: .zero, &result.drainTimeout)
        top.duration("drainDelay", from: .zero, &result.drainDelay)
        accessLog(&top, &result.accessLog)
        if let node = top.value("limits") { limits(node, &result.limits) }
        for (index, node) in top.list("models").enumerated() {
            if let model = model(node, index) {
                checkPlaceholder("model", model.name, at: node)
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
        checkMemory(result, root)
        top.finish()
        return result
    }

    /// `stdout`, `stderr`, `off` or a file; a bare word is more likely a slip than a file's name.
    private func accessLog(_ top: inout Section, _ log: inout Configuration.AccessLog) {
        guard let text = top.text("accessLog") else { return }
        switch text {
        case "stdout": log = .stdout
        case "stderr": log = .stderr
        case "off", "false": log = .off
        case _ where text.contains("/") || text.contains("."): log = .file(resolved(text))
        default:
            findings.add(
                "`accessLog` must be stdout, stderr, off or a file such as ./\(Redaction.value(text)), not '\(Redaction.value(text))'",
                at: top.value("accessLog") ?? top.node
            )
        }
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
        let cors = crossOrigin(&section)
        return address.map { Configuration.Listener(address: $0, tls: tls, cors: cors) }
    }

    func address(
        _ section: inout Section,
        _ key: String
    ) -> Configuration.ListenAddress? {
        guard let node = section.value(key) else { return nil }
        switch Configuration.ListenAddress.read(node.scalar?.string ?? "", relativeTo: folder) {
        case .address(let address): return address
        case .wrong(let sentence):
            findings.add("`\(section.name).\(key)`: \(sentence)", at: node)
        case .other:
            findings.add(
                "`\(section.name).\(key)` must be HOST:PORT, such as 0.0.0.0:8080 or [::1]:8080, or unix:///PATH",
                at: node
            )
        }
        return nil
    }

    private func limits(_ node: Node, _ limits: inout Configuration.Limits) {
        guard var section = Section(node, name: "limits", findings) else { return }
        section.bytes("maxRequestBytes", from: 1, &limits.maxRequestBytes)
        section.bytes("maxHeaderBytes", from: 1024, &limits.maxHeaderBytes)
        section.number("maxConnections", 1...10_000_000, &limits.maxConnections)
        section.number(
            "maxConnectionsPerAddress",
            0...10_000_000,
            &limits.maxConnectionsPerAddress
        )
        section.number("maxConcurrentStreams", 1...100_000, &limits.maxConcurrentStreams)
        section.duration("headerTimeout", from: .milliseconds(10), &limits.headerTimeout)
        section.duration("bodyTimeout", from: .milliseconds(10), &limits.bodyTimeout)
        section.duration("idleTimeout", from: .milliseconds(10), &limits.idleTimeout)
        section.bytes("maxMemory", from: 64 << 20, &limits.maxMemory)
        section.finish()
    }

    // MARK: - Files

    func resolved(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(folder)/\(path)"
    }

    func file(_ section: inout Section, _ key: String, isRequired: Bool) -> String? {
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
