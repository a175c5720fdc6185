import SluiceTelemetry
import Testing

@Suite("Code table")
struct CodeTableTests {
    private let family = MetricFamily.counter(
        "sluice_requests_total",
        help: "Requests.",
        labels: ["model", "code"]
    )

    @Test("Each HTTP status has the counter its digits name", .tags(.unit))
    func http() {
        let store = MetricStore()
        let table = CodeTable(store: store)
        let block = table.makeBlock(family, ["iris"], .http)
        for code in 100...599 {
            let counter = table.counter(block, code: code)
            #expect(counter == store.counter(family, ["iris", String(code)]))
            #expect(counter == table.counter(block, code: code))
        }
        let other = store.counter(family, ["iris", "other"])
        for code in [Int.min, -1, 0, 99, 600, 65_535, .max] {
            #expect(table.counter(block, code: code) == other)
        }
    }

    @Test(
        "gRPC statuses go by name (gRPC, status codes)",
        .tags(.conformance),
        arguments: [
            (0, "OK"), (1, "CANCELLED"), (2, "UNKNOWN"), (3, "INVALID_ARGUMENT"),
            (4, "DEADLINE_EXCEEDED"), (5, "NOT_FOUND"), (6, "ALREADY_EXISTS"),
            (7, "PERMISSION_DENIED"), (8, "RESOURCE_EXHAUSTED"), (9, "FAILED_PRECONDITION"),
            (10, "ABORTED"), (11, "OUT_OF_RANGE"), (12, "UNIMPLEMENTED"), (13, "INTERNAL"),
            (14, "UNAVAILABLE"), (15, "DATA_LOSS"), (16, "UNAUTHENTICATED"), (17, "other"),
            (-1, "other"),
        ]
    )
    func grpc(code: Int, name: String) {
        let store = MetricStore()
        let table = CodeTable(store: store)
        let block = table.makeBlock(family, ["iris"], .grpc)
        #expect(CodeVocabulary.grpc.label(of: code) == name)
        #expect(table.counter(block, code: code) == store.counter(family, ["iris", name]))
    }

    @Test("Blocks keep apart while the table grows, and workers meet in the store", .tags(.unit))
    func manyBlocks() {
        let store = MetricStore()
        let tables = (CodeTable(store: store), CodeTable(store: store))
        let first = (0..<20).map { tables.0.makeBlock(family, ["m\($0)"], .http) }
        let second = (0..<20).reversed().map { tables.1.makeBlock(family, ["m\($0)"], .http) }
        var seen: Set<CounterID> = []
        for index in 0..<20 {
            let counter = tables.0.counter(first[index], code: 200)
            #expect(counter == tables.1.counter(second[19 - index], code: 200))
            #expect(seen.insert(counter).inserted)
        }
        // What was registered before the table grew is still known.
        #expect(tables.0.counter(first[0], code: 200) == store.counter(family, ["m0", "200"]))
    }

    @Test("Only codes that were seen become series", .tags(.unit))
    func lazily() {
        let store = MetricStore()
        let table = CodeTable(store: store)
        let block = table.makeBlock(family, ["iris"], .http)
        #expect(store.samples(of: "sluice_requests_total").isEmpty)
        store.makeShard().add(table.counter(block, code: 204))
        #expect(
            store.samples(of: "sluice_requests_total")
                == [#"sluice_requests_total{model="iris",code="204"} 1"#]
        )
    }

    @Test("A discarded block's memory forgets its counters", .tags(.unit))
    func discard() {
        let store = MetricStore()
        let table = CodeTable(store: store)
        let old = table.makeBlock(family, ["old"], .grpc)
        let counter = table.counter(old, code: 0)
        table.discard(old)
        let new = table.makeBlock(family, ["new"], .grpc)
        #expect(new == old)
        #expect(table.counter(new, code: 0) != counter)
        #expect(table.counter(new, code: 0) == store.counter(family, ["new", "OK"]))
    }
}
