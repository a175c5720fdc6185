private import Glibc

/// How much processor time a container may take: `cpu.max` of cgroup v2.
///
/// A cgroup's bound holds for those below it, so the least on the way up counts.
/// *Linux, Documentation/admin-guide/cgroup-v2.rst, "CPU Interface Files".*
package enum CPUQuota {
    /// The cores that this process may keep busy; nil where nothing bounds it.
    package static func ofThisProcess() -> Int? {
        guard let text = contents(of: "/proc/self/cgroup") else { return nil }
        return cores(inside: text) { contents(of: "/sys/fs/cgroup" + $0 + "/cpu.max") }
    }

    /// The least quota of the cgroup that `membership` (`/proc/self/cgroup`) names and those above
    /// it, in whole cores; `read` answers a cgroup's `cpu.max`, or nil where it has none.
    package static func cores(inside membership: String, read: (String) -> String?) -> Int? {
        guard
            let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
        else { return nil }
        // A process that has been moved out of its namespace's view is named by `..`.
        var path = line.dropFirst(3).split(separator: "/").filter { $0 != ".." }
        var least: Int?
        while true {
            let folder = path.map { "/" + $0 }.joined()
            if let cores = read(folder).flatMap(cores(of:)) { least = min(least ?? cores, cores) }
            if path.isEmpty { return least }
            path.removeLast()
        }
    }

    /// The cores of one `cpu.max`, "QUOTA PERIOD" in microseconds, rounded up; nil for "max".
    package static func cores(of line: String) -> Int? {
        let words = line.split(whereSeparator: \.isWhitespace)
        guard let first = words.first, let quota = Int(first), quota > 0 else { return nil }
        let period = words.count > 1 ? Int(words[1]) ?? 0 : 100_000
        guard period > 0 else { return nil }
        return max(1, quota / period + (quota % period == 0 ? 0 : 1))
    }

    private static func contents(of path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe read(descriptor, $0.baseAddress, $0.count)
        }
        return count >= 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }
}
