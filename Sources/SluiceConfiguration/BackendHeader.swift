import Foundation
import SluiceCore
private import SluiceHTTP
import Yams

extension Configuration {
    /// A field of our own in requests to a backend; its value is a secret, and in no text.
    package struct BackendHeader: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
        /// In lower case.
        package let name: String
        package let value: String
        /// Whose first line the value is; nil where it stands in the configuration.
        package let file: String?

        package var description: String { "\(name): \(Redaction.mark)" }
        package var customMirror: Swift.Mirror { Swift.Mirror(self, children: ["name": name]) }
    }

    /// Every file that a field's value comes from.
    package var headerFiles: [String] {
        Set(
            models.flatMap(\.revisions).flatMap(\.allBackends).flatMap(\.headers).compactMap(\.file)
        )
        .sorted()
    }
}

// MARK: - Reading

extension ConfigurationReader {
    /// Fields that a backend may have, and bytes of a value.
    static let headersMaximum = 32
    private static let headerValueMaximum = 8 << 10

    /// `headers: {NAME: VALUE, NAME: {file: FILE}}`.
    func headers(_ section: inout Section, _ name: String) -> [Configuration.BackendHeader] {
        guard let node = section.value("headers") else { return [] }
        let name = "\(name).headers"
        guard let mapping = node.mapping else {
            findings.add("`\(name)` must be a mapping of names to values", at: node)
            return []
        }
        if mapping.count > ConfigurationReader.headersMaximum {
            findings.add(
                "`\(name)` may have \(ConfigurationReader.headersMaximum) fields",
                at: node
            )
        }
        var headers: [Configuration.BackendHeader] = []
        for (key, value) in mapping {
            let field = (key.scalar?.string ?? "").lowercased()
            if let refusal = ConfigurationReader.refusal(of: field) {
                findings.add("`\(name)`: \(refusal)", at: key)
            } else if headers.contains(where: { $0.name == field }) {
                findings.add("`\(name)`: '\(field)' stands twice", at: key)
            } else if let header = header(value, field, "\(name).\(field)") {
                headers.append(header)
            }
        }
        return headers
    }

    private func header(
        _ node: Node,
        _ field: String,
        _ name: String
    ) -> Configuration.BackendHeader? {
        var (value, path): (String, String?)
        if let text = node.scalar?.string {
            (value, path) = (text, nil)
        } else {
            guard var section = Section(node, name: name, findings) else { return nil }
            defer { section.finish() }
            guard let read = file(&section, "file", isRequired: true) else { return nil }
            guard let data = FileManager.default.contents(atPath: read), data.count <= 1 << 16,
                let text = String(data: data, encoding: .utf8)
            else {
                findings.add(
                    "`\(name).file`: \(read) must be UTF-8 text of at most 64 KiB",
                    at: node
                )
                return nil
            }
            (value, path) = (String(text.prefix { !$0.isNewline }), read)
        }
        value = value.trimmingCharacters(in: .whitespaces)
        // RFC 9110 §11.4: credentials begin with their scheme; a token alone is a bearer's (RFC 6750 §2.1).
        if field == "authorization", path != nil, !value.isEmpty, !value.contains(" ") {
            value = "Bearer \(value)"
        }
        // The value itself isn't quoted: it is a secret.
        guard !value.isEmpty, value.utf8.count <= ConfigurationReader.headerValueMaximum,
            value.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else {
            findings.add(
                "`\(name)`\(path.map { ", the first line of \($0)," } ?? "") must be 1 to \(ConfigurationReader.headerValueMaximum) characters of printable ASCII",
                at: node
            )
            return nil
        }
        if field.hasSuffix("-bin"), Base64.decode(value.utf8) == nil {
            findings.add("`\(name)` must be base64, as its name ends in -bin", at: node)
            return nil
        }
        return Configuration.BackendHeader(name: field, value: value, file: path)
    }

    /// Why a field can't be ours to set; nil where it can.
    private static func refusal(of field: String) -> String? {
        let isToken = unsafe Array(field.utf8).withUnsafeBytes {
            unsafe FieldValidation.isToken($0)
        }
        if field.hasPrefix(":") {
            return "'\(field)' is no field, but part of HTTP/2's request line"
        }
        guard isToken, field.utf8.count <= 256 else {
            return "'\(field)' is no name of a field (letters, digits and - of RFC 9110 §5.1)"
        }
        if hopByHop.contains(field) {
            return "'\(field)' belongs to a connection (RFC 9110 §7.6.1) and can't be set"
        }
        if ofTheMessage.contains(field) || field.hasPrefix("grpc-") {
            return "'\(field)' says what the message is, and can't be set"
        }
        if ours.contains(field) || field.hasPrefix("x-sluice-") || field.hasPrefix("x-forwarded-") {
            return "'\(field)' is written by Sluice itself, and can't be set"
        }
        return nil
    }

    private static let hopByHop: Set = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
        "expect",
    ]
    private static let ofTheMessage: Set = [
        "host", "content-length", "content-type", "content-encoding", "accept-encoding",
        "inference-header-content-length", "range",
    ]
    private static let ours: Set = [
        "forwarded", "via", "x-request-id", "traceparent", "tracestate",
    ]
}

extension Configuration.Backend {
    /// `headers` as they are written, values that stand in the configuration hidden; nil for none.
    var headersText: String? {
        guard !headers.isEmpty else { return nil }
        let fields = headers.map { header in
            let value = header.file.map { "{file: \(YAMLText.quoted($0))}" }
            return "\(YAMLText.quoted(header.name)): \(value ?? YAMLText.quoted(Redaction.mark))"
        }
        return "headers: {\(fields.joined(separator: ", "))}"
    }
}
