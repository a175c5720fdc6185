import Foundation
import SluiceAdmin
import Testing

@Suite("The page, as it is in the binary")
struct DashboardPageTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Sources/SluiceAdmin/Dashboard")

    private static let paths = DashboardPage.files.map(\.path)

    private static func text(_ path: String) throws -> String {
        let file = try #require(DashboardPage.files.first { $0.path == path })
        return String(decoding: file.body, as: UTF8.self)
    }

    @Test("Every file of the folder is served as it lies there, and nothing else is")
    func complete() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(Set(names.map { $0 == "page.html" ? "/" : "/dashboard/\($0)" }) == Set(Self.paths))
        for file in DashboardPage.files {
            let name = file.path == "/" ? "page.html" : String(file.path.dropFirst(11))
            let lying = try Data(contentsOf: Self.folder.appending(path: name))
            #expect(Array(lying) == file.body, "\(name)")
        }
    }

    @Test("What a file refers to is served, and nothing comes from elsewhere", arguments: paths)
    func references(path: String) throws {
        let text = try Self.text(path)
        let found = text.matches(of: /(?:from |import\(|src=|href=|url\()["']([^"'#$]+)["']/)
        for reference in found.map({ String($0.output.1) }) {
            let target =
                reference.hasPrefix("./") ? "/dashboard/\(reference.dropFirst(2))" : reference
            #expect(Self.paths.contains(target), "\(path) refers to \(reference)")
        }
        let addresses = text.matches(of: /https?:\/\/[^\s"'<>]+/).map { String($0.output) }
        #expect(addresses.allSatisfy { $0 == "http://www.w3.org/2000/svg" }, "\(addresses)")
    }

    @Test("The document has no script or style of its own, which its policy would forbid")
    func noInline() throws {
        let text = try Self.text("/")
        #expect(text.firstMatch(of: /<script(?![^>]*src=)/) == nil)
        #expect(text.firstMatch(of: /<style|\sstyle=|\son[a-z]+=/) == nil)
    }

    @Test("Text never becomes markup", arguments: paths.filter { $0.hasSuffix(".js") })
    func textOnly(path: String) throws {
        let text = try Self.text(path)
        for word in [
            "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(",
        ] {
            #expect(!text.contains(word), "\(path) uses \(word)")
        }
    }

    @Test("The policy allows the page's own files and nothing else")
    func policy() throws {
        let fields = Dictionary(
            uniqueKeysWithValues: DashboardPage.fields.map { ($0.name, $0.value) }
        )
        let policy = try #require(fields["content-security-policy"])
        let rules = policy.split(separator: ";").map { $0.drop { $0 == " " } }
        #expect(rules.first == "default-src 'none'")
        #expect(rules.contains("frame-ancestors 'none'") && rules.contains("base-uri 'none'"))
        #expect(!policy.contains("unsafe") && !policy.contains("*") && !policy.contains("http"))
        #expect(fields["x-content-type-options"] == "nosniff")
    }

    /// RFC 9110 §13.1.2: a list of tags, weak comparison, or an asterisk.
    @Test(
        "If-None-Match names the file by its tag",
        arguments: [
            ("TAG", true), ("W/TAG", true), ("\"other\", TAG", true), ("*", true),
            ("\"other\"", false), ("", false), ("TAG2", false),
        ]
    )
    func tags(field: String, isNamed: Bool) throws {
        let file = DashboardPage.files[0]
        let text = field.replacing("TAG", with: file.entityTag)
        #expect(file.isNamed(by: text) == isNamed)
    }

    @Test("Different files have different tags")
    func different() {
        #expect(Set(DashboardPage.files.map(\.entityTag)).count == DashboardPage.files.count)
    }
}
