import SluiceAdmin
import SluiceControl
import SluiceCore
import SluiceWire

/// A gateway of many models as the stream sees it, and a page that keeps what it is told.
struct StreamWorld {
    var board = StreamedState()
    var models: [ModelSummary]
    /// The opened model, whole.
    var opened: [String: JSONValue] = [:]
    var generation = 1
    var now = Instant.zero
    /// When what was sent, in bytes.
    private(set) var sent: [(time: Instant, count: Int)] = []
    private var searched = 0

    /// So many models, each of two revisions and four backends.
    init(models count: Int) {
        models = (0..<count).map { number in
            var model = ModelSummary(name: "model-\(number)")
            model.shares = [.init("v1", 9000), .init("v2", 1000)]
            model.revisionCount = 2
            (model.backends, model.backendsUp) = (4, 4)
            return model
        }
    }

    /// Other numbers in all models.
    mutating func traffic(_ round: Int) {
        for place in models.indices {
            let number = Double((place * 7919 + round * 104_729) % 9973)
            models[place].requestsPerSecond = ModelSummary.legible(number / 7)
            models[place].errorRatio = ModelSummary.legible(number / 1_000_000)
            models[place].p99Seconds = ModelSummary.legible(number / 100_000)
            models[place].inFlight = Int(number) % 40
        }
    }

    mutating func look() {
        board.list.update(
            models,
            searchTexts: searched == generation
                ? nil
                : models.map { model in
                    Array("\(model.name)\nv1\nv2\n10.0.0.1:\(model.name.count)".utf8)
                }
        )
        searched = generation
        board.post([.init("time", .number("\(now.nanoseconds / 1_000_000)"))])
        board.update(
            gateway: [
                .init("version", .string("1.2.3")), .init("generation", .number("\(generation)")),
                .init("summary", board.list.totals.json),
            ]
        )
        for (name, model) in opened where board.list.place(of: name) != nil {
            board.open(name, model)
        }
        board.keepOpen(only: Set(opened.keys))
    }

    /// The next frame of `subscriber`, as JSON.
    mutating func frame(_ subscriber: inout StreamSubscriber) throws -> JSONValue {
        let bytes = subscriber.frame(&board, at: now)
        sent.append((now, bytes.count))
        let text = bytes.dropFirst("event: state\ndata: ".utf8.count).dropLast(2)
        return try JSONParser.parse(Array(text))
    }

    /// The most bytes that any second saw.
    var busiestSecond: Int {
        sent.indices.map { first in
            sent[first...].prefix { $0.time < sent[first].time + .seconds(1) }
                .reduce(0) { $0 + $1.count }
        }.max() ?? 0
    }
}

/// What a page knows: it takes frames as the page's script does.
struct StreamReader {
    private(set) var gateway: [String: JSONValue] = [:]
    private(set) var lines: [String: JSONValue] = [:]
    private(set) var members: [String: JSONValue] = [:]
    private(set) var revisions: [String: JSONValue] = [:]
    private(set) var backends: [String: JSONValue] = [:]
    private(set) var hasModel = false

    var page: [String] { gateway["page"]?["names"]?.elements?.compactMap(\.text) ?? [] }

    mutating func take(_ frame: JSONValue) {
        guard case .object(let members) = frame else { return }
        for member in members where member.name != "models" && member.name != "model" {
            gateway[member.name] = member.value
        }
        for line in frame["models"]?.elements ?? [] { lines[line["name"]?.text ?? ""] = line }
        let page = Set(page)
        lines = lines.filter { page.contains($0.key) }
        guard let model = frame["model"] else { return }
        hasModel = model != .null
        guard case .object(let own) = model else {
            (self.members, revisions, backends) = ([:], [:], [:])
            return
        }
        for member in own { self.members[member.name] = member.value }
        for revision in model["revisions"]?.elements ?? [] {
            revisions[revision["name"]?.text ?? ""] = revision
        }
        for backend in model["backends"]?.elements ?? [] {
            backends["\(backend["revision"]?.text ?? "")/\(backend["address"]?.text ?? "")"] =
                backend
        }
        for gone in model["gone"]?.elements ?? [] {
            let revision = gone["revision"]?.text ?? ""
            if let address = gone["address"]?.text {
                backends["\(revision)/\(address)"] = nil
            } else {
                revisions[revision] = nil
            }
        }
    }
}
