import Foundation
import Testing

/// What is written about Sluice holds together: links lead somewhere, each metric has its row.
@Suite("The manual")
struct ManualTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// A document, by its path from the root.
    struct Document {
        var path: String
        /// Its lines, those of code blocks empty.
        var lines: [Substring]
        /// Anchors of its headings, as GitHub and DocC make them.
        var anchors: Set<String> {
            Set(lines.filter { $0.hasPrefix("#") }.map(ManualTests.anchor))
        }
    }

    static func files(below folder: String, ending suffix: String) -> [String] {
        let files = FileManager.default.enumerator(atPath: root.appending(path: folder).path)
        return (files?.allObjects as? [String] ?? []).filter { $0.hasSuffix(suffix) }
            .map { "\(folder)/\($0)" }.sorted()
    }

    static func document(_ path: String) throws -> Document {
        let text = try String(contentsOf: root.appending(path: path), encoding: .utf8)
        var isCode = false
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let isFence = line.drop { $0 == " " }.hasPrefix("```")
            defer { if isFence { isCode.toggle() } }
            return isFence || isCode ? "" : line
        }
        return Document(path: path, lines: lines)
    }

    /// README, manual, maintainers' guide and what contributors read.
    static func documents() throws -> [Document] {
        let articles = files(below: "Sources", ending: ".md").filter { $0.contains(".docc/") }
        let others = files(below: ".github", ending: ".md")
        return try (["README.md", "Benchmarks/README.md"] + others + articles).map(document)
    }

    static func anchor(_ heading: Substring) -> String {
        let kept = heading.drop { $0 == "#" }.lowercased().filter {
            $0.isLetter || $0.isNumber || " -_".contains($0)
        }
        return kept.trimmingCharacters(in: .whitespaces).replacing(" ", with: "-")
    }

    /// Where the links of a text lead, those to other sites left out.
    static func links(_ document: Document) -> [String] {
        let text = document.lines.joined(separator: "\n")
        let inline = text.matches(of: /\]\(([^()\s]+)\)/).map { String($0.1) }
        let topics = text.matches(of: /<doc:([^>]+)>/).map { String($0.1) + ".md" }
        return inline.filter { !$0.contains("://") && !$0.hasPrefix("mailto:") } + topics
    }

    @Test("Every relative link and its anchor lead somewhere")
    func everyLink() throws {
        var count = 0
        for document in try Self.documents() {
            for link in Self.links(document) {
                count += 1
                let parts = link.split(separator: "#", omittingEmptySubsequences: false)
                let folder = (document.path as NSString).deletingLastPathComponent
                let joined = (folder as NSString).appendingPathComponent(String(parts[0]))
                let target =
                    parts[0].isEmpty ? document.path : (joined as NSString).standardizingPath
                let exists = FileManager.default.fileExists(
                    atPath: Self.root.appending(path: target).path
                )
                #expect(exists, "\(document.path) links to \(link)")
                if exists, parts.count > 1, target.hasSuffix(".md") {
                    let anchors = try Self.document(target).anchors
                    #expect(
                        anchors.contains(String(parts[1])),
                        "\(document.path) links to \(link), which has no such heading"
                    )
                }
            }
        }
        #expect(count > 100, "only \(count) links found")
    }

    @Test("An article begins with its title and one sentence that says what it is about")
    func abstracts() throws {
        for document in try Self.documents()
        where document.path.contains(".docc/") && !document.path.contains("/Decisions/") {
            let paragraphs = document.lines.split { $0.isEmpty }
            try #require(paragraphs.count > 1, "\(document.path)")
            #expect(paragraphs[0].count == 1 && paragraphs[0].first?.hasPrefix("# ") == true)
            let sentence = paragraphs[1].joined(separator: " ")
            #expect(sentence.hasSuffix("."), "\(document.path) begins with: \(sentence)")
            #expect(
                !sentence.contains(/[.!?]\s[A-Z]/) && !sentence.hasPrefix("#"),
                "\(document.path) begins with: \(sentence)"
            )
        }
    }

    @Test("Every article can be reached from its landing page")
    func everyArticle() throws {
        for (catalog, landing) in [
            ("Sources/sluice/Manual.docc", "Manual.md"),
            ("Sources/SluiceGateway/Documentation.docc", "Documentation.md"),
        ] {
            let links = Set(Self.links(try Self.document("\(catalog)/\(landing)")))
            for path in Self.files(below: catalog, ending: ".md") {
                let name = String(path.dropFirst(catalog.count + 1))
                #expect(name == landing || links.contains(name), "\(landing) lacks \(name)")
            }
        }
    }

    @Test("A step that a document names by its file is there")
    func everyStep() throws {
        let files = Set(
            Self.files(below: "Sources", ending: ".swift")
                .map { ($0 as NSString).lastPathComponent.dropLast(".swift".count) }
        )
        var count = 0
        for document in try Self.documents() {
            let text = document.lines.joined(separator: "\n")
            for match in text.matches(of: /`(?:[A-Za-z]+\/)?([A-Z][A-Za-z]+\+[A-Za-z]+)`/) {
                count += 1
                #expect(files.contains(match.1), "\(document.path) names \(match.1)")
            }
        }
        #expect(count > 40, "only \(count) steps found")
    }

    @Test("The README is read in a few minutes")
    func readme() throws {
        #expect(try Self.document("README.md").lines.count <= 151)
    }

    @Test("Every metric has its row, and no row is without its metric")
    func everyMetric() throws {
        var known: Set<String> = []
        for path in Self.files(below: "Sources", ending: ".swift") where path.contains("Metric") {
            let text = try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
            for match in text.matches(of: /"((?:sluice|process)_[a-z_]+)",/) {
                known.insert(String(match.1))
            }
        }
        #expect(known.count > 60, "only \(known.count) metrics found")
        var rows: [String] = []
        let article = try Self.document("Sources/sluice/Manual.docc/Metrics.md")
        for line in article.lines where line.hasPrefix("| `") {
            let cell = line.dropFirst().prefix { $0 != "|" }
            rows += cell.matches(of: /`((?:sluice|process)_[a-z_]+)`/).map { String($0.1) }
        }
        #expect(known.subtracting(rows).sorted() == [], "metrics without a row")
        #expect(Set(rows).subtracting(known).sorted() == [], "rows without a metric")
        #expect(rows.count == Set(rows).count, "a metric has two rows")
    }
}
