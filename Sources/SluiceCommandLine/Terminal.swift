import Foundation
import SluiceControl
import SluiceCore
import SluiceIO

/// What people see of a command.
enum Terminal {
    /// Writes one line to stderr; a reader that takes nothing for two seconds, or is gone, misses it.
    static func complain(_ line: String) {
        guard var output = try? LogOutput(.descriptor(STDERR_FILENO)) else { return }
        let deadline = ContinuousClock.now + .seconds(2)
        let bytes = Array((Redaction.text(line) + "\n").utf8)
        // The array lives through the call.
        _ = unsafe bytes.withUnsafeBytes {
            unsafe output.write($0) { ContinuousClock.now < deadline }
        }
    }

    /// Sends each line of stdout on its way as it comes, into a pipe or file as well as to a terminal.
    static func showLinesAsTheyCome() { Machine.bufferStandardOutputByLine() }

    /// Sends what `print` has kept back on its way, as a pipe's reader expects.
    static func flush() { fflush(nil) }

    /// Rows in columns as wide as their longest cell; the first row is the heading.
    ///
    /// Cells of the columns from `numbers` on end where their column ends, as numbers should.
    static func table(_ rows: [[String]], numbers: Int = .max) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let cells = row.enumerated().map { index, cell in
                let padding = String(repeating: " ", count: widths[index] - cell.count)
                if index >= numbers { return padding + cell }
                return index == row.count - 1 ? cell : cell + padding
            }
            return cells.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
