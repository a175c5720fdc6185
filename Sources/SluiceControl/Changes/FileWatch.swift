private import Glibc
import SluiceConfiguration
import Synchronization

/// Notices that files have changed, by looking at them.
///
/// A look is one `stat` a second and file. Notifications would be sooner, but they don't come over
/// network file systems, and a Kubernetes volume changes by swapping a symbolic link two folders up;
/// `stat` follows links, so a swap shows as another inode. A change counts once two looks in a row
/// agree, so that a file isn't read while it is being written.
final class FileWatch: Sendable {
    private struct Stamp: Equatable {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var size: Int64 = 0
        var seconds = 0
        var nanoseconds = 0
    }

    private struct State {
        var settled: [Stamp]
        var latest: [Stamp]
        var paths: [String]
    }

    private let state: Mutex<State>

    /// A watch over the configuration and the files it names, which are known as they are now.
    convenience init(_ file: String, _ configuration: Configuration) {
        self.init(paths: FileWatch.paths(file, configuration))
    }

    /// A watch over files that are known as they are now.
    init(paths: [String]) {
        let stamps = paths.map(FileWatch.stamp)
        state = Mutex(State(settled: stamps, latest: stamps, paths: paths))
    }

    /// Looks once; true when a file has changed since the last time this was true, and has settled.
    func look() -> Bool {
        state.withLock { state in
            let stamps = state.paths.map(FileWatch.stamp)
            defer { state.latest = stamps }
            guard stamps == state.latest, stamps != state.settled else { return false }
            state.settled = stamps
            return true
        }
    }

    /// Takes the files as they are now for known.
    func settle() {
        state.withLock { state in
            state.latest = state.paths.map(FileWatch.stamp)
            state.settled = state.latest
        }
    }

    /// Watches the files of another configuration from now on; what is known of a file stays known.
    func follow(_ file: String, _ configuration: Configuration) {
        let paths = FileWatch.paths(file, configuration)
        state.withLock { state in
            guard paths != state.paths else { return }
            let known = Dictionary(
                zip(state.paths, state.settled),
                uniquingKeysWith: { first, _ in first }
            )
            state.settled = paths.map { known[$0] ?? FileWatch.stamp($0) }
            state.latest = paths.map(FileWatch.stamp)
            state.paths = paths
        }
    }

    private static func paths(_ file: String, _ configuration: Configuration) -> [String] {
        let tls = configuration.listeners.compactMap(\.tls)
        let clients = configuration.models.flatMap(\.revisions).flatMap(\.allBackends)
            .compactMap(\.tls)
        let clientFiles = Set(clients.flatMap { [$0.ca, $0.certificate, $0.privateKey] })
            .compactMap { $0 }.sorted()
        // Lists of backends and keys towards them are written by programs, at any time; the rest is only
        // watched if wanted.
        let written = configuration.backendsFiles + configuration.headerFiles
        guard configuration.watch else { return written }
        return [file] + written + tls.map(\.certificate) + tls.map(\.privateKey)
            + tls.compactMap(\.clientCA) + clientFiles
            + [configuration.admin.tokenFile].compactMap { $0 }
    }

    private static func stamp(_ path: String) -> Stamp {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return Stamp() }
        return Stamp(
            device: UInt64(status.st_dev),
            inode: UInt64(status.st_ino),
            size: Int64(status.st_size),
            seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec
        )
    }
}
