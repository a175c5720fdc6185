private import Glibc
package import SluiceIO

/// A file with the `x-request-id` of each prediction a sample server was asked for, a line each.
///
/// Lines go to the kernel one by one as predictions begin, so that a process that is killed has told
/// of all of them: who repeats requests can be proved not to have asked two models the same thing.
package final class PredictionJournal {
    private let descriptor: Int32
    private var line: [UInt8] = []

    /// Opens `path` to append to it, and makes it if it isn't there.
    package init(path: String) throws(KernelFailure) {
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw KernelFailure(
                call: "open journal \(path)",
                code: errno,
                text: Machine.describe(errno: errno)
            )
        }
    }

    deinit { close(descriptor) }

    /// Appends a prediction's identifier; requests without one leave an empty line.
    package func note(_ requestID: [UInt8]) {
        line.removeAll(keepingCapacity: true)
        line += requestID
        line.append(UInt8(ascii: "\n"))
        _ = unsafe write(descriptor, line, line.count)
    }
}
