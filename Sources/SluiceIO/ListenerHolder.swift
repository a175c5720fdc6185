private import Glibc

/// Which process listens on an address that is in use, as far as this one may see.
///
/// *proc(5): `/proc/net/tcp`, `/proc/PID/fd`.* The descriptors of other users' processes are theirs alone, and
/// those of other containers aren't there at all.
package struct ListenerHolder: Sendable, CustomStringConvertible {
    let process: Int32
    /// What it is called (`/proc/PID/comm`); nil where that can't be seen.
    let name: String?

    init(process: Int32) {
        self.process = process
        let line = ListenerHolder.contents(of: "/proc/\(process)/comm")
        name = line?.split(separator: "\n").first.map(String.init)
    }

    /// `NAME, process PID`.
    package var description: String { (name.map { "\($0), " } ?? "") + "process \(process)" }

    /// Whether it is a program of this one's name, another gateway beside a gateway.
    package var isNamedLikeThisProcess: Bool {
        name == nil || name == ListenerHolder(process: getpid()).name
    }

    /// What a failure to listen says, with what has the port, where that is the trouble and can be seen.
    package static func sentence(of failure: KernelFailure, at addresses: [SocketAddress]) -> String
    {
        // Of a socket's file it is said already.
        let ports = addresses.filter { !$0.isUnix }
        guard failure.code == EADDRINUSE, let holder = ListenerHolder.of(ports) else {
            return failure.description
        }
        return "\(failure.description) (\(holder))"
    }

    /// What listens at one of the addresses; nil where that can't be seen.
    ///
    /// Reads the list of all connections and of all processes' descriptors: for a start, not for a loop.
    package static func of(_ addresses: [SocketAddress]) -> ListenerHolder? {
        for address in addresses {
            if address.isUnix {
                if let holder = ListeningFiles.holder(of: address) { return holder }
                continue
            }
            let socket = listeners(family: address.family)
                .first { $0.port == address.port && clashes($0.address, address.bytes) }
            guard let socket, let process = process(holding: socket.inode) else { continue }
            return ListenerHolder(process: process)
        }
        return nil
    }

    /// A listening socket of the kernel's list.
    struct Listener: Equatable {
        let address: [UInt8]
        let port: UInt16
        let inode: String
    }

    private static func listeners(family: SocketAddress.Family) -> [Listener] {
        let lists = family == .ipv4 ? ["tcp", "tcp6"] : ["tcp6"]
        return lists.flatMap { listeners(in: contents(of: "/proc/net/\($0)") ?? "") }
    }

    /// Those that a list of `/proc/net` names: state 0A.
    static func listeners(in text: String) -> [Listener] {
        text.split(separator: "\n").dropFirst().compactMap { line in
            let words = line.split(separator: " ")
            guard words.count > 9, words[3] == "0A" else { return nil }
            let place = words[1].split(separator: ":")
            guard place.count == 2, let port = UInt16(place[1], radix: 16),
                place[0].count.isMultiple(of: 8)
            else { return nil }
            // Words of 32 bits, each as this machine would write the number.
            var bytes: [UInt8] = []
            var rest = place[0]
            while !rest.isEmpty {
                guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
                unsafe withUnsafeBytes(of: word) { unsafe bytes.append(contentsOf: $0) }
                rest = rest.dropFirst(8)
            }
            return Listener(address: bytes, port: port, inode: String(words[9]))
        }
    }

    /// Whether a socket at one address keeps another from the other: either is all addresses, or both are one.
    static func clashes(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        let isAll = one.allSatisfy { $0 == 0 } || other.allSatisfy { $0 == 0 }
        return isAll || one == other
    }

    private static func process(holding inode: String) -> Int32? {
        let wanted = "socket:[\(inode)]"
        for entry in entries(of: "/proc") {
            guard let process = Int32(entry) else { continue }
            for descriptor in entries(of: "/proc/\(process)/fd")
            where target(of: "/proc/\(process)/fd/\(descriptor)") == wanted {
                return process
            }
        }
        return nil
    }

    private static func entries(of folder: String) -> [String] {
        guard let list = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(list) }
        var names: [String] = []
        while let entry = unsafe readdir(list) {
            // The kernel ends the name with a zero within the record.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            names.append(name)
        }
        return names
    }

    private static func target(of link: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 64)
        let count = unsafe readlink(link, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func contents(of path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var all: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe bytes.withUnsafeMutableBytes {
                unsafe read(descriptor, $0.baseAddress, $0.count)
            }
            guard count > 0 else { break }
            all += bytes.prefix(count)
        }
        return String(decoding: all, as: UTF8.self)
    }
}
