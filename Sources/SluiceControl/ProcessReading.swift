import Foundation
import Glibc
import SluiceTelemetry

/// Reads what Linux knows of this process (proc(5)).
enum ProcessReading {
    private static let system = ProcessMetrics.System(
        ticksPerSecond: sysconf(Int32(_SC_CLK_TCK)),
        pageBytes: sysconf(Int32(_SC_PAGESIZE)),
        bootSecond: ProcessMetrics.bootSecond(stat: text("/proc/stat")) ?? 0
    )

    /// The standard `process_*` numbers, or nil where there is no /proc.
    static func now() -> ProcessMetrics? {
        let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        return ProcessMetrics(
            stat: text("/proc/self/stat"),
            limits: text("/proc/self/limits"),
            openDescriptors: descriptors?.count ?? 0,
            system: system
        )
    }

    /// The memory it takes now, in bytes; nil where there is no /proc.
    static var residentBytes: Int? {
        let fields = text("/proc/self/statm").split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    private static func text(_ path: String) -> String {
        (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }
}
