import Foundation
import SluiceFuzzing
import Testing

/// What fuzzers have kept, played again: `Tests/fuzz/run` looks for more.
@Suite("Hostile bytes that were met before")
struct CorpusTests {
    /// The inputs in `Tests/fixtures/fuzz`, a line of base64 each; `#` begins a remark.
    static func corpus(of surface: Surface) throws -> [[UInt8]] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "fixtures/fuzz")
        var inputs: [[UInt8]] = []
        for name in ["\(surface).txt", "\(surface).found.txt"] {
            let file = folder.appending(path: name)
            guard let text = try? String(contentsOf: file, encoding: .utf8) else { continue }
            for line in text.split(separator: "\n") where !line.hasPrefix("#") {
                inputs.append(Array(try #require(Data(base64Encoded: String(line)))))
            }
        }
        return inputs
    }

    @Test("Nothing that was kept is a finding", arguments: Surface.allCases)
    func replay(surface: Surface) throws {
        let corpus = try Self.corpus(of: surface)
        #expect(corpus.count > 20, "the corpus of \(surface) is missing")
        let guarded = GuardedText(capacity: 1 << 16)
        for input in corpus {
            let finding = unsafe guarded.with(input) { bytes -> Finding? in
                do throws(Finding) {
                    unsafe try surface.check(bytes)
                    return nil
                } catch {
                    return error
                }
            }
            #expect(finding == nil, "\(surface): \(Data(input).base64EncodedString())")
        }
    }
}
