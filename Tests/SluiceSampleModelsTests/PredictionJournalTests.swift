import Foundation
import SluiceSampleModels
import Testing

@Suite("The journal of predictions")
struct PredictionJournalTests {
    @Test("Each prediction is told at once, after what an earlier process told")
    func appends() throws {
        let path = NSTemporaryDirectory() + "journal-\(UInt64.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for id in ["a", "b-2"] {
            let journal = try PredictionJournal(path: path)
            journal.note(Array(id.utf8))
            journal.note([])
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "a\n\nb-2\n\n")
    }

    @Test("A journal that can't be opened says which and why")
    func refused() {
        #expect {
            try PredictionJournal(path: "/nowhere/journal")
        } throws: { error in
            "\(error)".contains("/nowhere/journal") && "\(error)".contains("No such file")
        }
    }
}
