import Foundation
import SluiceConfiguration
import Testing

/// The manual's configuration reference says what the schema says, a row for each key.
@Suite("Configuration reference")
struct ConfigurationReferenceTests {
    static let article = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Sources/sluice/Manual.docc/ConfigurationReference.md")

    /// The cells of the article's rows, by the path of their key: type, default, meaning.
    static func rows() throws -> [(path: String, cells: [String])] {
        var section = ""
        var rows: [(path: String, cells: [String])] = []
        for line in try String(contentsOf: article, encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("## ") {
                // The document itself has a heading of words, its sections have theirs in code.
                section = line.contains("`") ? line.dropFirst(3).filter { $0 != "`" } : ""
            } else if line.hasPrefix("| `") {
                let cells = line.replacing("\\|", with: "\u{0}").split(separator: "|").map {
                    $0.replacing("\u{0}", with: "|").trimmingCharacters(in: .whitespaces)
                }
                let key = cells[0].filter { $0 != "`" }
                rows.append((section.isEmpty ? key : "\(section).\(key)", Array(cells.dropFirst())))
            }
        }
        return rows
    }

    /// The schema's keys by path, those of mappings under names of the writer's choice among them.
    static let keys: [String: SchemaKey] = {
        var keys: [String: SchemaKey] = [:]
        func add(_ type: SchemaType, at path: String) {
            switch type {
            case .mapping(let mapping):
                for key in mapping.keys {
                    let inner = path.isEmpty ? key.name : "\(path).\(key.name)"
                    keys[inner] = key
                    add(key.type, at: inner)
                }
            case .list(let element, _), .map(let element, _, _): add(element, at: path)
            case .either(let types): for type in types { add(type, at: path) }
            default: break
            }
        }
        add(.mapping(ConfigurationSchema.root), at: "")
        return keys
    }()

    @Test("Every key has its row, and no row is without its key")
    func everyKey() throws {
        let paths = try Self.rows().map(\.path)
        #expect(Self.keys.count > 100)
        #expect(Set(Self.keys.keys).subtracting(paths).sorted() == [], "keys without a row")
        #expect(Set(paths).subtracting(Self.keys.keys).sorted() == [], "rows without a key")
        #expect(paths.count == Set(paths).count, "a key has two rows")
    }

    @Test("Rows have the schema's defaults and meanings")
    func contents() throws {
        for (path, cells) in try Self.rows() {
            let key = try #require(Self.keys[path], "\(path)")
            try #require(cells.count == 3, "\(path) has \(cells.count) cells beside its key")
            #expect(!cells[0].isEmpty, "\(path) has no type")
            #expect(cells[2].hasPrefix(key.summary), "\(path) means: \(key.summary)")
            // Lists are written as YAML writes them.
            let said = cells[1].filter { !"`[] ".contains($0) }
            let expected = key.isRequired ? "required" : key.plain ?? ""
            #expect(said == expected.filter { $0 != " " }, "the default of \(path)")
        }
    }
}
