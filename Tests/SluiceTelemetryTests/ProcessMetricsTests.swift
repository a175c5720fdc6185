import SluiceTelemetry
import Testing

@Suite("Process metrics")
struct ProcessMetricsTests {
    private let system = ProcessMetrics.System(
        ticksPerSecond: 100,
        pageBytes: 4_096,
        bootSecond: 1_700_000_000
    )
    private let limits = """
        Limit                     Soft Limit           Hard Limit           Units     \n\
        Max cpu time              unlimited            unlimited            seconds   \n\
        Max open files            1024                 1048576              files     \n\
        Max address space         unlimited            unlimited            bytes     \n
        """

    @Test(
        "Fields are counted after the program's name, whatever it holds (proc(5))",
        .tags(.conformance),
        arguments: ["sluice", "a b", "x) (y", ") S 1 2 3", ""]
    )
    func fields(name: String) throws {
        let stat =
            "4242 (\(name)) S 1 4242 4242 0 -1 4194560 1591 0 12 0 250 150 0 0 20 0 6 0 12345 "
            + "274432000 2600 18446744073709551615 1 1 0 0 0 0 0 4096 0\n"
        let process = try #require(
            ProcessMetrics(stat: stat, limits: limits, openDescriptors: 17, system: system)
        )
        #expect(process.processorSeconds == 4)
        #expect(process.threads == 6)
        #expect(process.startSecond == 1_700_000_123.45)
        #expect(process.virtualBytes == 274_432_000)
        #expect(process.residentBytes == 2_600 * 4_096)
        #expect(process.openDescriptors == 17)
        #expect(process.descriptorsMaximum == 1_024)
        let store = MetricStore()
        store.collect { process.report(to: &$0) }
        #expect(
            store.samples(of: "process_") == [
                "process_cpu_seconds_total 4", "process_max_fds 1024", "process_open_fds 17",
                "process_resident_memory_bytes 10649600",
                "process_start_time_seconds 1700000123.45", "process_threads 6",
                "process_virtual_memory_bytes 274432000",
            ]
        )
    }

    @Test(
        "Text that isn't a stat line is refused",
        .tags(.unit),
        arguments: [
            "", "1", "1 (x", "1 (x) S 1 2", "1 (x) S 1 2 3 4 5 6 7 8 9 10 a b c d e f g h i",
        ]
    )
    func refused(stat: String) {
        #expect(
            ProcessMetrics(stat: stat, limits: limits, openDescriptors: 0, system: system) == nil
        )
    }

    @Test("No limit on descriptors is infinity", .tags(.unit))
    func unlimited() throws {
        let stat = "1 (x) S 0 0 0 0 0 0 0 0 0 0 1 2 0 0 0 0 3 0 4 5 6 7\n"
        let limits = "Max open files            unlimited            unlimited            files\n"
        let process = try #require(
            ProcessMetrics(stat: stat, limits: limits, openDescriptors: 0, system: system)
        )
        #expect(process.descriptorsMaximum == nil)
        let store = MetricStore()
        store.collect { process.report(to: &$0) }
        #expect(store.samples(of: "process_max_fds") == ["process_max_fds +Inf"])
    }

    @Test("The machine's start is the line btime", .tags(.unit))
    func boot() {
        let stat = "cpu  1 2 3\nintr 99\nctxt 7\nbtime 1763700000\nprocesses 4\n"
        #expect(ProcessMetrics.bootSecond(stat: stat) == 1_763_700_000)
        #expect(ProcessMetrics.bootSecond(stat: "cpu 1\n") == nil)
    }
}
