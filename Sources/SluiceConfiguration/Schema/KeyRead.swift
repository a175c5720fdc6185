/// One key that the reader has asked a mapping for, and what it takes there.
///
/// What the reader asks for is noted while it reads, so that a test can hold ``ConfigurationSchema`` to it.
package struct KeyRead: Sendable, Equatable {
    /// What is read under the key, as far as ``Section`` reads it; all else is read as a node.
    package enum Form: Sendable, Equatable {
        case node
        case text
        case flag(plain: Bool)
        case number(ClosedRange<Int>, plain: Int)
        case duration(from: Duration, plain: Duration)
        case bytes(from: Int, plain: Int)
        case list
    }

    /// The mapping, without places in lists: `models.revisions.backends`.
    package var section: String
    package var key: String
    package var form: Form
    /// Whether the document has the key.
    package var isPresent: Bool
    /// Whether its absence is an error.
    package var isRequired: Bool
}

extension Configuration {
    /// What the reader asked for while it read this text, whatever it found.
    package static func keysRead(yaml: String, file: String) -> [KeyRead] {
        let findings = Findings(file: file)
        findings.keysRead = []
        if let root = compose(yaml, findings) {
            var reader = ConfigurationReader(findings: findings, folder: folder(of: file))
            _ = reader.read(root)
        }
        return findings.keysRead ?? []
    }
}
