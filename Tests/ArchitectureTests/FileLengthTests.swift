import Testing

/// A file that grows beyond what can be read in one go holds a second noun: that moves to a file of its own.
@Suite("Length of files")
struct FileLengthTests {
    private static let maximum = 441

    @Test("No file of the sources has more lines than the bound", arguments: LayeringTests.modules)
    func lengths(module: String) throws {
        for file in try LayeringTests.sources(of: module) {
            // Behind the last line's end there is one more piece, without anything in it.
            let count = file.lines.count - 1
            #expect(count <= Self.maximum, "\(file.name) has \(count) lines")
        }
    }
}
