// Socket files, as a process listens on them.
//
// A file outlives its socket: what a process that was killed has left behind refuses connections for
// ever, and has to be replaced; one that another process listens on must not be. Connecting tells the
// two apart (unix(7): ECONNREFUSED is a file without a listener). Between that look and the new file
// no second gateway may look, or it would remove the file that the first has just made: the folder is
// locked meanwhile (flock(2)), which leaves nothing behind, whatever happens.
//
// SO_REUSEPORT doesn't deal connections of a socket file out, so all loops of a process share one
// socket, each by a descriptor of its own.
private import CLinux
private import Glibc
private import SluiceCore
private import Synchronization

/// The socket files that this process listens on, each one's descriptors counted.
final class ListeningFiles: Sendable {
    /// Paths are the process's, and so are these.
    static let ofThisProcess = ListeningFiles()

    private struct File {
        /// One for each loop.
        var descriptors: Set<Int32>
        /// What was made; another process may have put another in its place.
        let made: Identity
        var isWithdrawn = false
    }

    private struct Identity: Equatable {
        let device: dev_t
        let inode: ino_t
    }

    /// A look at a file that another process listens on; it counts for a while, as looking is a
    /// connection to that process.
    private struct Look {
        let identity: Identity
        let failure: KernelFailure
        let until: Int64
    }

    private let files = Mutex<[String: File]>([:])
    private let looks = Mutex<[String: Look]>([:])

    private static let lookNanoseconds: Int64 = 5_000_000_000

    /// Listens at a path, in place of a file that no process listens on.
    ///
    /// With `isShared`, together with what this process has there already. Returns a descriptor of the
    /// caller's own.
    func listen(
        at address: SocketAddress,
        backlog: Int,
        isShared: Bool
    ) throws(KernelFailure) -> Int32 {
        let path = address.path
        let result: Result<Int32, KernelFailure> = files.withLock { files in
            do throws(KernelFailure) {
                if isShared, var file = files[path], !file.isWithdrawn,
                    let first = file.descriptors.first
                {
                    let copy = fcntl(first, F_DUPFD_CLOEXEC, 0)
                    let descriptor = try LinuxKernel.check(
                        copy < 0 ? -errno : copy,
                        "listen on \(address)"
                    )
                    file.descriptors.insert(descriptor)
                    files[path] = file
                    return .success(descriptor)
                }
                let (descriptor, made) = try make(address, backlog)
                files[path] = File(descriptors: [descriptor], made: made)
                return .success(descriptor)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Removes the descriptor's file, unless it is another's by now; what waits can still be accepted.
    func withdraw(_ descriptor: Int32) {
        files.withLock { files in
            guard let path = files.first(where: { $0.value.descriptors.contains(descriptor) })?.key,
                files[path]?.isWithdrawn == false
            else { return }
            files[path]?.isWithdrawn = true
            if ListeningFiles.identity(of: path) == files[path]?.made {
                _ = unsafe unlink(path)
            }
        }
    }

    /// Closes one loop's descriptor, and removes the file.
    func close(_ descriptor: Int32) {
        withdraw(descriptor)
        files.withLock { files in
            _ = Glibc.close(descriptor)
            guard let path = files.first(where: { $0.value.descriptors.contains(descriptor) })?.key
            else { return }
            files[path]?.descriptors.remove(descriptor)
            if files[path]?.descriptors.isEmpty == true { files[path] = nil }
        }
    }

    // MARK: - Making a file

    private func make(
        _ address: SocketAddress,
        _ backlog: Int
    ) throws(KernelFailure) -> (Int32, Identity) {
        let path = address.path
        let folder = try ListeningFiles.lockedFolder(of: address)
        defer { if let folder { _ = Glibc.close(folder) } }
        var result = ListeningFiles.bind(address, backlog)
        if result == -EADDRINUSE {
            try removeUnused(address)
            result = ListeningFiles.bind(address, backlog)
        }
        let descriptor = try LinuxKernel.check(result, "listen on \(address)")
        guard let made = ListeningFiles.identity(of: path) else {
            _ = Glibc.close(descriptor)
            throw ListeningFiles.failure(
                address,
                ENOENT,
                "the file was removed at once by another process"
            )
        }
        return (descriptor, made)
    }

    /// Removes a socket file that no process listens on; throws what it is instead, from memory where
    /// it was in use a moment ago.
    private func removeUnused(_ address: SocketAddress) throws(KernelFailure) {
        let (path, now) = (address.path, clinux_monotonic_nanoseconds())
        let identity = ListeningFiles.identity(of: path)
        let known = looks.withLock { looks -> KernelFailure? in
            guard let look = looks[path], look.identity == identity, now < look.until else {
                looks[path] = nil
                return nil
            }
            return look.failure
        }
        if let known { throw known }
        do throws(KernelFailure) {
            try ListeningFiles.removeUnused(address)
        } catch {
            if error.code == EADDRINUSE, let identity {
                let until = now + ListeningFiles.lookNanoseconds
                looks.withLock {
                    $0[path] = Look(identity: identity, failure: error, until: until)
                }
            }
            throw error
        }
    }

    private static func bind(_ address: SocketAddress, _ backlog: Int) -> Int32 {
        unsafe address.bytes.withUnsafeBufferPointer { bytes in
            unsafe clinux_listen(
                address.family.rawValue,
                bytes.baseAddress,
                Int32(bytes.count),
                0,
                Int32(backlog),
                0
            )
        }
    }

    /// A descriptor of the path's folder, locked until it is closed; nil for one that may be written and
    /// not read.
    private static func lockedFolder(of address: SocketAddress) throws(KernelFailure) -> Int32? {
        let path = address.path
        guard path.utf8.count <= SocketFile.pathMaximum else {
            throw failure(
                address,
                ENAMETOOLONG,
                "a socket's path has at most \(SocketFile.pathMaximum) bytes, and this one has \(path.utf8.count)"
            )
        }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let code = errno
            if code == EACCES { return nil }
            throw failure(address, code, "the folder \(folder): \(Machine.describe(errno: code))")
        }
        // Gateways hold it for a moment. Who else holds it longer only takes the safety of two starts at
        // the same moment.
        for _ in 0..<50 where flock(descriptor, LOCK_EX | LOCK_NB) != 0 { usleep(2_000) }
        return descriptor
    }

    /// Removes a socket file that no process listens on; throws what it is instead.
    private static func removeUnused(_ address: SocketAddress) throws(KernelFailure) {
        var status = stat()
        guard unsafe lstat(address.path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw failure(
                address,
                EEXIST,
                "there is a file that isn't a socket; remove it or name another path"
            )
        }
        let result = connect(to: address)
        switch -result {
        case ECONNREFUSED:
            guard unsafe unlink(address.path) == 0 || errno == ENOENT else {
                let code = errno
                throw failure(
                    address,
                    code,
                    "the file that a process left behind can't be removed: \(Machine.describe(errno: code))"
                )
            }
        case ENOENT: return
        case ..<1, EAGAIN, EPROTOTYPE:
            let name = holder(behind: result).map { " (\($0))" } ?? ""
            throw failure(address, EADDRINUSE, "another process listens there\(name)")
        case let code:
            throw failure(
                address,
                code,
                "there is a socket that can't be looked at: \(Machine.describe(errno: code))"
            )
        }
    }

    private static func connect(to address: SocketAddress) -> Int32 {
        unsafe address.bytes.withUnsafeBufferPointer { bytes in
            unsafe clinux_connect(address.family.rawValue, bytes.baseAddress, Int32(bytes.count), 0)
        }
    }

    /// Who listens at the other end of a connection, which is closed.
    private static func holder(behind descriptor: Int32) -> ListenerHolder? {
        guard descriptor >= 0 else { return nil }
        let process = clinux_peer_process(descriptor)
        _ = Glibc.close(descriptor)
        return process > 0 ? ListenerHolder(process: process) : nil
    }

    /// Who listens on a socket file; nil where that can't be seen.
    static func holder(of address: SocketAddress) -> ListenerHolder? {
        holder(behind: connect(to: address))
    }

    private static func identity(of path: String) -> Identity? {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return nil }
        return Identity(device: status.st_dev, inode: status.st_ino)
    }

    private static func failure(
        _ address: SocketAddress,
        _ code: Int32,
        _ text: String
    ) -> KernelFailure {
        KernelFailure(call: "listen on \(address)", code: code, text: text)
    }
}
