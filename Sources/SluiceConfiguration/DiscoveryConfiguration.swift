import Foundation
package import SluiceCore
import Yams

// Backends that aren't listed one by one: `dns:` names and `backendsFile:`.

extension Configuration {
    /// What a replica found by name speaks (`protocol`).
    enum DiscoveredProtocol: String, CaseIterable { case rest, h2c, grpc }

    /// Every file whose content is part of the configuration, besides the configuration's own.
    package var backendsFiles: [String] {
        models.flatMap(\.revisions).compactMap { $0.backendsFile?.path }
    }

    /// Every name of a backend, in a `dns` or in a URL, once; all are looked up again and again.
    package var watchedNames: [HostName] {
        var names: Set<HostName> = []
        for backend in models.flatMap(\.revisions).flatMap(\.allBackends) {
            for url in [backend.rest, backend.grpc] {
                if let name = url?.name, !name.isNumeric { names.insert(name) }
            }
        }
        return names.sorted { $0.text < $1.text }
    }

    /// A list of backends in a file of its own, and what it says.
    package struct BackendsFile: Sendable, Equatable {
        package var path: String
        package var backends: [Backend]
    }
}

extension Configuration.Revision {
    /// Those listed and those of the file.
    package var allBackends: [Configuration.Backend] { backends + (backendsFile?.backends ?? []) }
}

// MARK: - Reading

extension ConfigurationReader {
    /// `backends:`, `backendsFile:`, or both.
    func backends(
        _ section: inout Section,
        _ name: String,
        of revision: inout Configuration.Revision
    ) {
        if let node = section.value("backendsFile") {
            if let path = file(&section, "backendsFile", isRequired: false) {
                revision.backendsFile = backendsFile(path, at: node)
            }
            // With a file, the list may be absent.
            guard section.value("backends") != nil else { return }
        }
        for (place, node) in section.list("backends").enumerated() {
            if let backend = backend(node, "\(name).backends[\(place)]") {
                let isTwin = revision.backends.contains {
                    $0.rest == backend.rest && $0.grpc == backend.grpc
                }
                if isTwin {
                    findings.add(
                        "`\(name).backends[\(place)]` stands twice; a replica is listed once, and `weight` says how much it takes",
                        at: node
                    )
                }
                revision.backends.append(backend)
            }
        }
    }

    /// A YAML or JSON list in the shape of `backends:`; it may be empty.
    private func backendsFile(_ path: String, at node: Node) -> Configuration.BackendsFile? {
        guard let data = FileManager.default.contents(atPath: path), data.count <= 1 << 20,
            let text = String(data: data, encoding: .utf8)
        else {
            findings.add(
                "`backendsFile`: \(path) must be UTF-8 text of at most 1 MiB",
                at: node
            )
            return nil
        }
        let inner = ConfigurationReader(findings: Findings(file: path), folder: folder)
        var result = Configuration.BackendsFile(path: path, backends: [])
        if !text.allSatisfy(\.isWhitespace), let root = Configuration.compose(text, inner.findings)
        {
            guard let list = root.sequence else {
                findings.add(
                    "`backendsFile`: \(path) must be a list of backends (lines that begin with `- `)",
                    at: node
                )
                return nil
            }
            for (place, node) in list.enumerated() {
                if let backend = inner.backend(node, "[\(place)]") {
                    result.backends.append(backend)
                }
            }
        }
        findings.absorb(inner.findings)
        return result
    }

    /// `dns: HOST:PORT`, or `HOST:PORT/base`, with `protocol: rest`, `h2c`, `grpc` or a list of them.
    func discovered(
        _ section: inout Section,
        _ name: String,
        _ backend: inout Configuration.Backend
    ) {
        guard let node = section.value("dns") else {
            if let node = section.value("protocol") {
                findings.add("`\(name).protocol` goes with `dns`", at: node)
            }
            return
        }
        let text = node.scalar?.string ?? ""
        let slash = text.firstIndex(of: "/") ?? text.endIndex
        guard let address = Configuration.ListenAddress(String(text[..<slash])), address.port > 0,
            let path = Configuration.BackendURL.base(text[slash...])
        else {
            findings.add(
                "`\(name).dns` must be HOST:PORT, such as models.example:9000, with a path before ours where there is one (/base)",
                at: node
            )
            return
        }
        guard backend.rest == nil, backend.grpc == nil else {
            findings.add("`\(name)` has either `dns` or URLs, not both", at: node)
            return
        }
        let wanted = section.required("protocol")
        let texts =
            wanted?.sequence.map { $0.map { $0.scalar?.string ?? "" } }
            ?? wanted?.scalar.map { [$0.string] } ?? []
        let kinds = texts.compactMap(Configuration.DiscoveredProtocol.init(rawValue:))
        guard !kinds.isEmpty, kinds.count == texts.count, Set(kinds).count == kinds.count,
            !Set(kinds).isSuperset(of: [.rest, .h2c])
        else {
            if let wanted {
                findings.add(
                    "`\(name).protocol` must be rest (HTTP/1.1), h2c (REST over HTTP/2) or grpc, or [rest, grpc]",
                    at: wanted
                )
            }
            return
        }
        if !path.isEmpty, kinds.contains(.grpc) {
            findings.add(pathOfGRPC("\(name).dns", path), at: node)
            return
        }
        let isSecure = section.value("tls") != nil
        func url(_ scheme: Configuration.BackendURL.Scheme) -> Configuration.BackendURL {
            Configuration.BackendURL(
                scheme: isSecure ? .https : scheme,
                host: address.host,
                port: address.port,
                path: path
            )
        }
        backend.isWatched = true
        if kinds.contains(.rest) { backend.rest = url(.http) }
        if kinds.contains(.h2c) { backend.rest = url(.h2c) }
        if kinds.contains(.grpc) { backend.grpc = url(.http) }
    }
}

extension Configuration.Backend {
    /// `dns` and `protocol` as they are written; nil for a backend with URLs.
    var discoveryText: String? {
        guard isWatched, let url = rest ?? grpc else { return nil }
        let kinds = [
            rest.map { $0.scheme == .h2c ? "h2c" : "rest" }, grpc.map { _ in "grpc" },
        ].compactMap { $0 }
        return
            "dns: \(YAMLText.quoted(url.authority + url.path)), protocol: [\(kinds.joined(separator: ", "))]"
    }
}
