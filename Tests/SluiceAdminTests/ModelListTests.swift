import SluiceAdmin
import SluiceControl
import SluiceCore
import Testing

@Suite("The list of models", .tags(.unit))
struct ModelListTests {
    private static func query(_ parameters: [String: String]) throws -> ModelQuery {
        try ModelQuery(parameters)
    }

    private static func names(
        _ world: inout StreamWorld,
        _ parameters: [String: String]
    ) throws -> [String] {
        world.board.list.ranking(try query(parameters), at: world.now)
            .map { world.board.list.name(at: $0) }
    }

    @Test("Each order has first what it is asked for; equals stay in the file's order")
    func orders() throws {
        var world = StreamWorld(models: 4)
        world.models[0].requestsPerSecond = 5
        world.models[2].requestsPerSecond = 9
        world.models[3].errorRatio = 0.5
        world.models[1].p99Seconds = 0.2
        world.models[1].backendsUp = 0
        world.models.swapAt(1, 2)
        world.look()
        #expect(try Self.names(&world, [:]) == ["model-0", "model-2", "model-1", "model-3"])
        #expect(try Self.names(&world, ["sort": "name"]) == (0..<4).map { "model-\($0)" })
        #expect(
            try Self.names(&world, ["sort": "requests"]) == [
                "model-2", "model-0", "model-1", "model-3",
            ]
        )
        #expect(try Self.names(&world, ["sort": "errors"]).first == "model-3")
        #expect(try Self.names(&world, ["sort": "latency"]).first == "model-1")
        // No backend is worse than failing answers.
        #expect(
            try Self.names(&world, ["sort": "health"]) == [
                "model-1", "model-3", "model-0", "model-2",
            ]
        )
    }

    @Test("An order by numbers holds for seconds, one by health for none")
    func calm() throws {
        var world = StreamWorld(models: 3)
        world.look()
        #expect(try Self.names(&world, ["sort": "requests"]).first == "model-0")
        #expect(try Self.names(&world, ["sort": "health"]).first == "model-0")
        world.models[2].requestsPerSecond = 100
        world.models[2].backendsUp = 1
        world.now = world.now + .seconds(1)
        world.look()
        #expect(try Self.names(&world, ["sort": "requests"]).first == "model-0")
        #expect(try Self.names(&world, ["sort": "health"]).first == "model-2")
        world.now = world.now + .seconds(5)
        world.look()
        #expect(try Self.names(&world, ["sort": "requests"]).first == "model-2")
    }

    @Test(
        "A search looks for all of its words in the names of model, revisions and backends",
        arguments: [
            "MODEL-1", "model-19", "", "  ", "9 model 1", "nothing", "10.0.0.1:9", "v2", "v1\nv2",
            "model-199",
        ]
    )
    func search(text: String) throws {
        var world = StreamWorld(models: 200)
        world.look()
        let found = try Self.names(&world, ["search": text])
        let words = text.lowercased().split(whereSeparator: \.isWhitespace)
        let wanted = world.models.filter { model in
            words.allSatisfy { "\(model.name)\nv1\nv2\n10.0.0.1:\(model.name.count)".contains($0) }
        }
        #expect(found == wanted.map(\.name))
        #expect(found.isEmpty == (text == "nothing"))
    }

    @Test("A search finds what came, and no longer what went")
    func changed() throws {
        var world = StreamWorld(models: 3)
        world.look()
        #expect(try Self.names(&world, ["search": "model"]).count == 3)
        world.models.remove(at: 0)
        world.models.append(ModelSummary(name: "model-new"))
        world.generation = 2
        world.look()
        #expect(try Self.names(&world, ["search": "model"]) == ["model-1", "model-2", "model-new"])
    }

    @Test(
        "What can't be asked for is refused with what can",
        arguments: [
            (
                ["sort": "size"],
                "sort is one of configuration, name, requests, errors, latency, health"
            ),
            (["limit": "0"], "limit is a whole number, 1 to 100"),
            (["limit": "101"], "limit is a whole number, 1 to 100"),
            (["limit": "ten"], "limit is a whole number, 1 to 100"),
            (["offset": "-1"], "offset is a whole number, 0 or more"),
            (["search": String(repeating: "a", count: 257)], "search has 256 bytes at most"),
        ]
    )
    func refused(parameters: [String: String], sentence: String) {
        let failure = #expect(throws: ModelQuery.Failure.self) { try StreamView(parameters) }
        #expect(failure?.sentence == sentence)
    }

    @Test(
        "Pages have every model once, whatever comes and goes between them",
        arguments: [1, 7, 100]
    )
    func pages(limit: Int) throws {
        var world = StreamWorld(models: 50)
        var found: [String] = []
        var token: String?
        var round = 0
        repeat {
            world.look()
            var parameters = ["limit": "\(limit)", "sort": "name"]
            parameters["continue"] = token
            let page = try ModelPage(parameters)
            let ranking = world.board.list.ranking(page.query, at: world.now)
            let list = world.board.list
            let (places, next) = page.slice(of: ranking) { list.name(at: $0) }
            found += places.map { list.name(at: $0) }
            token = next
            round += 1
            // One that was told already goes, one before all others comes.
            if round == 1, limit < 50 {
                world.models.removeAll { $0.name == "model-0" }
                world.models += [ModelSummary(name: "a-1"), ModelSummary(name: "a-2")]
                world.generation += 1
            }
        } while token != nil
        #expect(found.count == Set(found).count)
        #expect(Set(found) == Set((0..<50).map { "model-\($0)" }))
    }

    @Test("A token that no page gave is refused", arguments: ["x", "-1.a", "5", ""])
    func badToken(token: String) {
        #expect(throws: ModelQuery.Failure.self) { try ModelPage(["continue": token]) }
    }

    @Test(
        "Numbers are as long as they are legible",
        arguments: [
            (0.0, 0.0), (1234.5678, 1235.0), (12.3456, 12.35), (0.0123456, 0.01235), (99.96, 99.96),
        ]
    )
    func legible(value: Double, shown: Double) {
        #expect(abs(ModelSummary.legible(value) - shown) <= shown * 0.005)
        #expect("\(ModelSummary.legible(value))".count <= 8)
    }
}
