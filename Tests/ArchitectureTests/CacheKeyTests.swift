import Testing

/// Requests that differ in a part of the key get each other's answers when one way to a key forgets it.
@Suite("One way to a cache key")
struct CacheKeyTests {
    /// Files in which `text` stands in code.
    private static func files(with text: String) throws -> Set<String> {
        var found: Set<String> = []
        for module in LayeringTests.modules {
            for file in try LayeringTests.sources(of: module)
            where file.lines.contains(where: { line in
                line.contains(text) && !line.drop(while: { $0 == " " }).hasPrefix("//")
            }) {
                found.insert("\(module)/\(file.name)")
            }
        }
        return found
    }

    @Test("A digest becomes a key in the key builder alone")
    func builder() throws {
        #expect(try Self.files(with: "CacheKey(digest:") == ["SluiceGateway/KeyBuilder.swift"])
    }

    @Test("What a request's key has beside its body is said in one place")
    func context() throws {
        #expect(
            try Self.files(with: " KeyContext(") == [
                "SluiceInference/KeyContext.swift", "SluiceGateway/Worker+KeyBuilding.swift",
            ]
        )
    }
}
