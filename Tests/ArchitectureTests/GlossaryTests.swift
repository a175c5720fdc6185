import Foundation
import Testing

/// The glossary leads from the words of the field to the file that implements them.
@Suite("The glossary")
struct GlossaryTests {
    static let path = "Sources/sluice/Manual.docc/Glossary.md"

    /// The cells of each row: term, meaning, configuration, sources, words of other systems.
    static func rows() throws -> [[String]] {
        try ManualTests.document(path).lines.filter { $0.hasPrefix("| ") }
            .map { line in
                line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            }
            .filter { $0.first != "term" && $0.first?.hasPrefix("---") == false }
    }

    @Test("Every source that a row names is there, and every row names one")
    func sources() throws {
        let rows = try Self.rows()
        #expect(rows.count > 40)
        for row in rows {
            try #require(row.count == 5, "\(row)")
            let named = row[3].matches(of: /`(Sources\/[^`]+)`/).map { String($0.1) }
            #expect(!named.isEmpty, "'\(row[0])' names no source")
            for path in named {
                let exists = FileManager.default.fileExists(
                    atPath: ManualTests.root.appending(path: path).path
                )
                #expect(exists, "'\(row[0])' names \(path)")
            }
        }
    }

    @Test(
        "A word that the field searches for is in the glossary",
        arguments: [
            "single-flight", "stampede", "thundering herd", "collapsed forwarding",
            "circuit breaker", "outlier detection", "panic threshold", "failover", "backup request",
            "retry storm", "token bucket", "load shedding", "back pressure", "graceful shutdown",
            "shadow traffic", "session affinity", "consistent hashing", "speculative",
            "concurrency limiter", "RFC 5861", "prefetch", "RCU", "transcoding", "model server",
        ]
    )
    func word(_ word: String) throws {
        let text = try ManualTests.document(Self.path).lines.joined(separator: "\n").lowercased()
        #expect(text.contains(word.lowercased()))
    }

    @Test(
        "A file's name says what it implements",
        arguments: [
            "coalesc", "hedge", "retry", "spillover", "queue", "warm", "shed", "prefetch", "mirror",
            "ratelimit", "outlier", "translat", "deadline",
        ]
    )
    func fileName(word: String) {
        let files = ManualTests.files(below: "Sources", ending: ".swift")
            .map { ($0 as NSString).lastPathComponent.lowercased() }
        #expect(files.contains { $0.contains(word) })
    }
}
