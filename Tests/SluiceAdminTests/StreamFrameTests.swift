import SluiceAdmin
import SluiceControl
import SluiceCore
import SluiceWire
import Testing

@Suite("Frames of the stream", .tags(.simulation))
struct StreamFrameTests {
    private static func view(_ parameters: [String: String]) throws -> StreamView {
        try StreamView(parameters)
    }

    /// A model as the API writes it.
    private static func model(
        _ name: String,
        revisions: [String],
        backends: Int,
        salt: Int = 0
    ) -> JSONValue {
        .object([
            .init("name", .string(name)), .init("loadBalancing", .string("leastRequest")),
            .init("cache", .null),
            .init(
                "revisions",
                .array(
                    revisions.map { revision in
                        .object([
                            .init("name", .string(revision)),
                            .init("traffic", .number("\((50 + salt) % 100)")),
                            .init(
                                "backends",
                                .array(
                                    (0..<backends).map { number in
                                        .object([
                                            .init("address", .string("10.0.0.\(number):8000")),
                                            .init("health", .string("up")),
                                            .init("reason", .null),
                                            .init("state", .string("ready")),
                                            .init("inFlight", .number("\(number + salt)")),
                                            .init("requestsPerSecond", .number("\(salt).5")),
                                        ])
                                    }
                                )
                            ),
                        ])
                    }
                )
            ),
            .init("rollout", .null),
        ])
    }

    @Test(
        "2,000 models whose numbers all change cost a listener 50 KB in no second",
        arguments: [50, 100]
    )
    func budget(limit: Int) throws {
        var world = StreamWorld(models: 2000)
        world.opened["model-3"] = Self.model("model-3", revisions: ["v1", "v2"], backends: 500)
        let view = try Self.view(["limit": "\(limit)", "model": "model-3", "sort": "requests"])
        var subscriber = StreamSubscriber(view, lastEvent: 0, at: .zero)
        // Each second, and at changes in between.
        for step in 0..<120 {
            world.now = Instant(nanoseconds: Int64(step) * 100_000_000)
            world.traffic(step)
            world.opened["model-3"] = Self.model(
                "model-3",
                revisions: ["v1", "v2"],
                backends: 500,
                salt: step
            )
            world.look()
            if step % 10 == 0 || step % 7 == 0 { _ = try world.frame(&subscriber) }
        }
        #expect(world.busiestSecond <= StreamBudget.anySecondMaximum)
        #expect(StreamBudget.anySecondMaximum <= 50_000)
        #expect(world.busiestSecond > 10_000, "the frames have something in them")
    }

    @Test("What doesn't fit goes round: every number shown is told anew, and none is passed over")
    func round() throws {
        var world = StreamWorld(models: 300)
        let view = try Self.view(["limit": "100", "model": "model-3"])
        var subscriber = StreamSubscriber(view, lastEvent: 0, at: .zero)
        var last: [String: Int] = [:]
        var longest = 0
        for second in 0..<60 {
            world.now = Instant(nanoseconds: Int64(second) * 1_000_000_000)
            world.traffic(second)
            world.opened["model-3"] = Self.model(
                "model-3",
                revisions: ["v1", "v2"],
                backends: 200,
                salt: second
            )
            world.look()
            let frame = try world.frame(&subscriber)
            var told = (frame["models"]?.elements ?? []).compactMap { $0["name"]?.text }
            for backend in frame["model"]?["backends"]?.elements ?? [] {
                told.append("\(backend["revision"]?.text ?? "")/\(backend["address"]?.text ?? "")")
            }
            for name in told {
                longest = max(longest, second - (last[name] ?? 0))
                last[name] = second
            }
        }
        #expect(last.count == 100 + 400)
        // 500 parts of some 200 bytes are five frames full.
        #expect(longest <= 8)
        #expect(last.values.allSatisfy { $0 >= 52 })
    }

    @Test("A frame holds what has changed and nothing else")
    func changesOnly() throws {
        var world = StreamWorld(models: 300)
        world.opened["model-0"] = Self.model("model-0", revisions: ["v1", "v2"], backends: 2)
        var subscriber = StreamSubscriber(try Self.view([:]), lastEvent: 0, at: .zero)
        var reader = StreamReader()
        world.look()
        let first = try world.frame(&subscriber)
        reader.take(first)
        #expect(subscriber.opened == "model-0")
        #expect(reader.page == (0..<50).map { "model-\($0)" })
        #expect(
            reader.lines.count == 50 && reader.backends.count == 4 && reader.revisions.count == 2
        )
        #expect(reader.gateway["page"]?["matching"]?.integer == 300)
        #expect(reader.gateway["summary"]?["models"]?.integer == 300)

        world.now = world.now + .seconds(1)
        world.look()
        let quiet = try world.frame(&subscriber)
        #expect(quiet == .object([.init("time", .number("1000"))]))

        // One on the page, one elsewhere, one backend.
        world.models[7].inFlight = 3
        world.models[222].inFlight = 9
        world.opened["model-0"] = Self.model("model-0", revisions: ["v1"], backends: 3)
        world.now = world.now + .seconds(1)
        world.look()
        let third = try world.frame(&subscriber)
        #expect(third["models"]?.elements?.compactMap { $0["name"]?.text } == ["model-7"])
        #expect(third["summary"]?["inFlight"]?.integer == 12 && third["page"] == nil)
        let added = third["model"]?["backends"]?.elements?.compactMap { $0["address"]?.text }
        #expect(added == ["10.0.0.2:8000"])
        reader.take(third)
        #expect(
            Set(reader.backends.keys) == [
                "v1/10.0.0.0:8000", "v1/10.0.0.1:8000", "v1/10.0.0.2:8000",
            ]
        )
        #expect(Set(reader.revisions.keys) == ["v1"])
        #expect(reader.members["order"] == .array([.string("v1")]))
    }

    @Test("What is gone leaves the page, and a model that comes back is told whole")
    func gone() throws {
        var world = StreamWorld(models: 3)
        let whole = Self.model("model-1", revisions: ["v1", "v2"], backends: 2)
        world.opened["model-1"] = whole
        let view = try Self.view(["model": "model-1"])
        var subscriber = StreamSubscriber(view, lastEvent: 0, at: .zero)
        var reader = StreamReader()
        world.look()
        reader.take(try world.frame(&subscriber))
        #expect(reader.hasModel && reader.lines.count == 3)
        let removed = world.models.remove(at: 1)
        world.generation = 2
        world.now = world.now + .seconds(1)
        world.look()
        reader.take(try world.frame(&subscriber))
        #expect(
            !reader.hasModel && reader.page == ["model-0", "model-2"] && reader.lines.count == 2
        )
        world.models.append(removed)
        world.generation = 3
        world.now = world.now + .seconds(1)
        world.look()
        reader.take(try world.frame(&subscriber))
        #expect(reader.page == ["model-0", "model-2", "model-1"] && reader.lines.count == 3)
        #expect(reader.hasModel && reader.backends.count == 4)
        #expect(reader.members["generation"]?.integer == 3)
    }

    @Test("A generation is told only together with all weights that it has")
    func generation() throws {
        var world = StreamWorld(models: 1)
        let names = (0..<100).map { "revision-\($0)-\(String(repeating: "x", count: 200))" }
        let view = try Self.view(["model": "model-0"])
        var subscriber = StreamSubscriber(view, lastEvent: 0, at: .zero)
        var reader = StreamReader()
        for second in 0..<60 {
            if second % 5 == 0 {
                world.generation += 1
                world.opened["model-0"] = Self.model(
                    "model-0",
                    revisions: names,
                    backends: 1,
                    salt: world.generation
                )
            }
            world.now = Instant(nanoseconds: Int64(second) * 1_000_000_000)
            world.look()
            reader.take(try world.frame(&subscriber))
            guard let generation = reader.members["generation"]?.integer else { continue }
            // The salt is in the weights.
            let weights = reader.revisions.values.compactMap { $0["traffic"]?.integer }
            let isCurrent =
                weights.count == 100 && weights.allSatisfy { $0 == (50 + generation) % 100 }
            #expect(isCurrent || generation < world.generation, "second \(second)")
        }
        #expect(reader.members["generation"]?.integer == world.generation)
        #expect(world.busiestSecond <= StreamBudget.anySecondMaximum)
    }

    @Test("A listener that missed frames gets the news of all of them in the next one")
    func coalesced() throws {
        var world = StreamWorld(models: 20)
        var subscriber = StreamSubscriber(try Self.view(["model": ""]), lastEvent: 0, at: .zero)
        var reader = StreamReader()
        world.look()
        reader.take(try world.frame(&subscriber))
        for second in 1..<20 {
            world.now = Instant(nanoseconds: Int64(second) * 1_000_000_000)
            world.models[second].inFlight = second
            world.look()
        }
        reader.take(try world.frame(&subscriber))
        for number in 1..<20 {
            #expect(reader.lines["model-\(number)"]?["inFlight"]?.integer == number)
        }
    }

    @Test("Events come in their order, as many as there is room for, and none is lost")
    func events() throws {
        var subscriber = StreamSubscriber(StreamView(), lastEvent: 0, at: .zero)
        let text = String(repeating: "e", count: 900)
        let all = (1...100).map { number in
            (id: number, json: JSONValue.object([.init("message", .string("\(number) \(text)"))]))
        }
        var told: [Int] = []
        var bytes: [(Int, Int)] = []
        for second in 0..<10 {
            let now = Instant(nanoseconds: Int64(second) * 1_000_000_000)
            let rest = all.filter { $0.id > subscriber.lastEvent }
            guard !rest.isEmpty else { break }
            let before = subscriber.lastEvent
            let made = subscriber.eventFrame(rest, process: "9", at: now)
            let frame = try #require(made)
            told += (before + 1)...subscriber.lastEvent
            bytes.append((second, frame.count))
            #expect(
                String(decoding: frame, as: UTF8.self).contains("id: 9-\(subscriber.lastEvent)\n")
            )
        }
        #expect(told == Array(1...100))
        #expect(bytes.count > 2 && bytes.allSatisfy { $0.1 <= StreamBudget.bytesPerSecond })
    }
}
