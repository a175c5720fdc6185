import Yams

extension Configuration {
    /// Which origins' web pages may use a listener (`cors`).
    package struct CrossOrigin: Sendable, Equatable {
        /// As browsers write them, such as `https://app.example`; or only `*`.
        package var origins: [String]
        /// Request fields allowed besides those of our own API, in lower case.
        package var headers: [String] = []
        /// How long a browser may remember the answer to a preflight.
        package var maxAge = Duration.seconds(600)
    }
}

// MARK: - Reading

extension ConfigurationReader {
    /// As many origins or fields as a listener may list.
    private static let listMaximum = 200

    /// `cors: {origins: [...], headers: [...], maxAge: 10m}`.
    func crossOrigin(_ listener: inout Section) -> Configuration.CrossOrigin? {
        let name = "\(listener.name).cors"
        guard let node = listener.value("cors"), var section = Section(node, name: name, findings)
        else { return nil }
        defer { section.finish() }
        var result = Configuration.CrossOrigin(origins: [])
        let nodes = section.list("origins")
        checkCount(nodes, "\(name).origins", at: node)
        for (index, node) in nodes.enumerated() {
            let text = node.scalar?.string ?? ""
            guard text == "*" || ConfigurationReader.isOrigin(text) else {
                findings.add(
                    "`\(name).origins[\(index)]` must be an origin as browsers write it, such as https://app.example or http://localhost:3000 (lower case, no path, no default port), or '*', not '\(text)'",
                    at: node
                )
                continue
            }
            if text == "*", nodes.count > 1 {
                findings.add("`\(name).origins`: '*' allows every origin; list it alone", at: node)
            }
            result.origins.append(text)
        }
        if section.value("headers")?.sequence?.isEmpty != true, section.value("headers") != nil {
            let nodes = section.list("headers")
            checkCount(nodes, "\(name).headers", at: node)
            for (index, node) in nodes.enumerated() {
                let text = (node.scalar?.string ?? "").lowercased()
                guard ConfigurationReader.isFieldName(text) else {
                    findings.add(
                        "`\(name).headers[\(index)]` must be a header field's name, such as authorization, or '*', not '\(text)'",
                        at: node
                    )
                    continue
                }
                result.headers.append(text)
            }
        }
        section.duration("maxAge", from: .zero, &result.maxAge)
        if result.maxAge > .seconds(86400), let node = section.value("maxAge") {
            findings.add(
                "`\(name).maxAge` must be at most 24h: no browser remembers it for longer",
                at: node
            )
        }
        return result.origins.isEmpty ? nil : result
    }

    private func checkCount(_ nodes: [Node], _ name: String, at node: Node) {
        guard nodes.count > ConfigurationReader.listMaximum else { return }
        findings.add(
            "`\(name)` must have at most \(ConfigurationReader.listMaximum) entries, not \(nodes.count)",
            at: node
        )
    }

    /// `scheme://host[:port]` as a browser serializes it; browsers leave a default port out.
    private static func isOrigin(_ text: String) -> Bool {
        guard let separator = text.firstRange(of: "://") else { return false }
        let scheme = text[..<separator.lowerBound]
        guard let first = scheme.utf8.first, (0x61...0x7A).contains(first),
            scheme.utf8.allSatisfy({
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0)
            })
        else { return false }
        var host = text[separator.upperBound...]
        if let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") {
            let digits = host[host.index(after: colon)...]
            guard let port = UInt16(digits), port > 0, String(port) == digits,
                !(scheme == "http" && port == 80), !(scheme == "https" && port == 443)
            else { return false }
            host = host[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            return !host.isEmpty && host.utf8.allSatisfy { isHexadecimal($0) || $0 == 0x3A }
        }
        return !host.isEmpty
            && host.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0)
                    || "-._~".utf8.contains($0)
            }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    /// A token (RFC 9110 §5.6.2).
    private static func isFieldName(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0)
                    || "!#$%&'*+-.^_`|~".utf8.contains($0)
            }
    }
}

// MARK: - Writing

extension Configuration.CrossOrigin {
    /// The value as it is written.
    var yamlText: String {
        var parts = ["origins: [\(origins.map(YAMLText.quoted).joined(separator: ", "))]"]
        if !headers.isEmpty {
            parts.append("headers: [\(headers.map(YAMLText.quoted).joined(separator: ", "))]")
        }
        if maxAge != Configuration.CrossOrigin(origins: []).maxAge {
            parts.append("maxAge: \(Units.text(maxAge))")
        }
        return "{\(parts.joined(separator: ", "))}"
    }
}
