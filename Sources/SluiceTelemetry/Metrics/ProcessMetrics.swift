// Linux tells a process about itself in text files. Reading them is the caller's business; what
// they mean is said here. Source: proc(5), "/proc/pid/stat", "/proc/pid/limits", "/proc/stat".

/// What the operating system knows about this process, under the names Prometheus clients share.
package struct ProcessMetrics: Hashable, Sendable {
    /// What must be known besides the files.
    package struct System: Hashable, Sendable {
        /// Clock ticks per second, `sysconf(_SC_CLK_TCK)`.
        package let ticksPerSecond: Int
        /// Bytes per page, `sysconf(_SC_PAGESIZE)`.
        package let pageBytes: Int
        /// When the machine started, in seconds since the Unix epoch; see ``bootSecond(stat:)``.
        package let bootSecond: Int

        /// Facts that hold until the machine starts anew.
        package init(ticksPerSecond: Int, pageBytes: Int, bootSecond: Int) {
            precondition(ticksPerSecond > 0, "a clock ticks")
            self.ticksPerSecond = ticksPerSecond
            self.pageBytes = pageBytes
            self.bootSecond = bootSecond
        }
    }

    /// User and system time spent, in seconds.
    package let processorSeconds: Double
    /// Resident memory in bytes.
    package let residentBytes: Int
    /// Virtual memory in bytes.
    package let virtualBytes: Int
    /// When the process started, in seconds since the Unix epoch.
    package let startSecond: Double
    /// How many threads there are.
    package let threads: Int
    /// How many descriptors are open.
    package let openDescriptors: Int
    /// The soft limit on open descriptors; nil when there's none.
    package let descriptorsMaximum: Int?

    /// Reads the files' text; nil when `stat` isn't what proc(5) describes.
    ///
    /// - Parameters:
    ///   - stat: the text of `/proc/self/stat`.
    ///   - limits: the text of `/proc/self/limits`.
    ///   - openDescriptors: the number of entries in `/proc/self/fd`.
    ///   - system: facts about the machine.
    package init?(stat: String, limits: String, openDescriptors: Int, system: System) {
        // The second field is the program's name in parentheses and may itself hold spaces and
        // parentheses, so counting starts after the last one; the state is field 3 there.
        guard let nameEnd = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: nameEnd)...].split { $0 == " " || $0 == "\n" }
        func field(_ number: Int) -> Int? {
            number - 3 < fields.count ? Int(fields[number - 3]) : nil
        }
        guard let userTicks = field(14), let systemTicks = field(15), let threads = field(20),
            let startTicks = field(22), let virtualBytes = field(23), let residentPages = field(24)
        else { return nil }
        let tick = Double(system.ticksPerSecond)
        processorSeconds = Double(userTicks + systemTicks) / tick
        startSecond = Double(system.bootSecond) + Double(startTicks) / tick
        residentBytes = residentPages * system.pageBytes
        self.virtualBytes = virtualBytes
        self.threads = threads
        self.openDescriptors = openDescriptors
        descriptorsMaximum = ProcessMetrics.softLimit("Max open files", limits)
    }

    /// When the machine started, from the text of `/proc/stat`; nil when it doesn't say.
    package static func bootSecond(stat: String) -> Int? {
        for line in stat.split(separator: "\n") where line.hasPrefix("btime ") {
            return Int(line.dropFirst("btime ".count))
        }
        return nil
    }

    /// Hands all values to a scrape.
    package func report(to sink: inout MetricSink) {
        sink.counter(ProcessMetrics.processorFamily, value: processorSeconds)
        sink.gauge(ProcessMetrics.residentFamily, value: Double(residentBytes))
        sink.gauge(ProcessMetrics.virtualFamily, value: Double(virtualBytes))
        sink.gauge(ProcessMetrics.startFamily, value: startSecond)
        sink.gauge(ProcessMetrics.threadsFamily, value: Double(threads))
        sink.gauge(ProcessMetrics.openFamily, value: Double(openDescriptors))
        let maximum = descriptorsMaximum.map(Double.init) ?? .infinity
        sink.gauge(ProcessMetrics.maximumFamily, value: maximum)
    }

    /// The soft limit in the row that begins with `name`.
    private static func softLimit(_ name: String, _ limits: String) -> Int? {
        for line in limits.split(separator: "\n") where line.hasPrefix(name) {
            return line.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }
        }
        return nil
    }

    private static let processorFamily = MetricFamily.counter(
        "process_cpu_seconds_total",
        help: "User and system time spent, in seconds."
    )
    private static let residentFamily = MetricFamily.gauge(
        "process_resident_memory_bytes",
        help: "Resident memory in bytes."
    )
    private static let virtualFamily = MetricFamily.gauge(
        "process_virtual_memory_bytes",
        help: "Virtual memory in bytes."
    )
    private static let startFamily = MetricFamily.gauge(
        "process_start_time_seconds",
        help: "Start of the process since the Unix epoch, in seconds."
    )
    private static let threadsFamily = MetricFamily.gauge(
        "process_threads",
        help: "Threads of the process."
    )
    private static let openFamily = MetricFamily.gauge(
        "process_open_fds",
        help: "Open file descriptors."
    )
    private static let maximumFamily = MetricFamily.gauge(
        "process_max_fds",
        help: "The most file descriptors the process may open."
    )
}
