import Foundation
import SluiceCore
import Yams

// One replica of a revision.
extension ConfigurationReader {
    func backend(_ node: Node, _ name: String) -> Configuration.Backend? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        var backend = Configuration.Backend()
        backend.rest = url(&section, "rest")
        backend.grpc = url(&section, "grpc")
        if let url = backend.grpc, !url.path.isEmpty, let node = section.value("grpc") {
            findings.add(pathOfGRPC("\(name).grpc", url.path), at: node)
        }
        backend.share = share(&section)
        discovered(&section, name, &backend)
        backend.headers = headers(&section, name)
        if let node = section.value("tls") { backend.tls = clientTLS(node, "\(name).tls") }
        if section.value("rest") == nil, section.value("grpc") == nil, section.value("dns") == nil {
            findings.add(
                "`\(name)` needs `rest:` or `grpc:` (a URL), or both, or `dns:` (HOST:PORT)",
                at: node
            )
            return nil
        }
        return backend
    }

    /// How to speak TLS to a server that we call.
    func clientTLS(_ node: Node, _ name: String) -> Configuration.BackendTLS? {
        guard var tls = Section(node, name: name, findings) else { return nil }
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
        return part
    }

    func url(_ section: inout Section, _ key: String) -> Configuration.BackendURL? {
        guard let node = section.value(key) else { return nil }
        let text = node.scalar?.string ?? ""
        switch Configuration.BackendURL.read(text, relativeTo: folder) {
        case .url(let url): return url
        case .wrong(let sentence):
            findings.add("`\(section.name).\(key)`: \(sentence)", at: node)
        case .other:
            findings.add(
                "`\(section.name).\(key)` must be http://HOST:PORT, h2c://HOST:PORT or https://HOST:PORT, with a path before ours where there is one (/base), or unix:///PATH, not '\(Redaction.value(text))'",
                at: node
            )
        }
        return nil
    }
}

extension Configuration.BackendURL {
    /// What a text turned out to be.
    package enum Reading: Sendable, Equatable {
        case url(Configuration.BackendURL)
        /// Meant for a socket's file, and what is wrong with it.
        case wrong(String)
        /// No URL of a backend.
        case other
    }

    /// Reads `scheme://host[:port][/path]`, or `unix:///PATH` with a scheme and a `+` before it if it isn't `http`; a
    /// relative path is relative to `folder`.
    package static func read(_ text: String, relativeTo folder: String = ".") -> Reading {
        let named = Scheme.allCases.first { text.hasPrefix("\($0.rawValue)+unix") }
        let file = text.dropFirst(named.map { $0.rawValue.count + 1 } ?? 0)
        switch SocketFile.read(String(file), relativeTo: folder) {
        case .path(let path):
            return .url(Configuration.BackendURL(scheme: named ?? .http, host: path, port: 0))
        case .wrong(let sentence): return .wrong(sentence)
        case .other: return Configuration.BackendURL(text).map(Reading.url) ?? .other
        }
    }

    /// Takes `scheme://host[:port][/path]` apart; nil when it is something else.
    package init?(_ text: String) {
        guard let separator = text.range(of: "://"),
            let scheme = Scheme(rawValue: String(text[..<separator.lowerBound]))
        else { return nil }
        var rest = text[separator.upperBound...]
        var path = ""
        if let slash = rest.firstIndex(of: "/") {
            guard let base = Configuration.BackendURL.base(rest[slash...]) else { return nil }
            path = base
            rest = rest[..<slash]
        }
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
        self.init(scheme: scheme, host: host, port: port, path: path)
    }
}
