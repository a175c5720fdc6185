private import Foundation
import SluiceIO
import SluiceWire

/// Where ``Adjustments`` outlive the process (`admin.stateFile`).
///
/// Written as a whole to a file beside it, synced, and renamed over it: a reader, or a restart after
/// a crash at any moment, finds the old state or the new one.
struct StateFile: Sendable {
    /// Why the file could not be read or written.
    struct Failure: Error {
        let sentence: String
    }

    let path: String

    /// What a draft's name has after the file's.
    private static let draftMark = ".new-"
    /// How old a draft is before it counts as left behind: no write takes so long.
    private static let draftAge = 600

    /// What the file says; none when there is no file yet.
    func load() throws(Failure) -> Adjustments {
        removeLeftDrafts()
        guard FileManager.default.fileExists(atPath: path) else { return Adjustments() }
        guard let data = FileManager.default.contents(atPath: path) else { throw failure("read") }
        let bytes = [UInt8](data)
        guard let json = try? JSONParser.parse(bytes), let read = Adjustments(json: json) else {
            throw Failure(sentence: "\(path) is not a state file of Sluice's")
        }
        return read
    }

    /// Puts a file that can't be read out of the way, so that nothing in it is lost.
    func setAside() { _ = unsafe rename(path, path + ".damaged") }

    /// Replaces what the file says.
    func save(_ adjustments: Adjustments) throws(Failure) {
        let bytes = adjustments.json.serialized + [0x0A]
        // Two gateways may share the file, both of them process 1 of their containers: each writes a
        // draft of its own, and the later one holds.
        let number = String(UInt64.random(in: .min ... .max), radix: 16)
        let draft = path + StateFile.draftMark + number
        let descriptor = unsafe open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("write") }
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { bytes in
                unsafe write(
                    descriptor,
                    bytes.baseAddress.map { unsafe $0 + written },
                    bytes.count - written
                )
            }
            if count < 0 {
                if errno == EINTR { continue }
                break
            }
            written += count
        }
        let isWhole = written == bytes.count && fsync(descriptor) == 0
        guard isWhole else {
            let failure = failure("write")
            close(descriptor)
            _ = unsafe unlink(draft)
            throw failure
        }
        close(descriptor)
        guard unsafe rename(draft, path) == 0 else {
            let failure = failure("write")
            _ = unsafe unlink(draft)
            throw failure
        }
        syncFolder()
    }

    /// Removes the drafts that processes left behind which were killed while they wrote.
    private func removeLeftDrafts() {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let folder = String(path.dropLast(name.count))
        let entries = try? FileManager.default.contentsOfDirectory(
            atPath: folder.isEmpty ? "." : folder
        )
        for entry in entries ?? [] where entry.hasPrefix(name + StateFile.draftMark) {
            var status = stat()
            guard unsafe lstat(folder + entry, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
                status.st_mtim.tv_sec + StateFile.draftAge < time(nil)
            else { continue }
            _ = unsafe unlink(folder + entry)
        }
    }

    /// The new name is in the folder, which is written by itself.
    private func syncFolder() {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = unsafe open(folder.isEmpty ? "/" : folder, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = fsync(descriptor)
        close(descriptor)
    }

    private func failure(_ verb: String) -> Failure {
        Failure(sentence: "can't \(verb) the state file \(path): \(Machine.describe(errno: errno))")
    }
}
