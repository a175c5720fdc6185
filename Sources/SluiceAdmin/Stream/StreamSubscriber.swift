// What a frame holds
// ------------------
// A frame is one `state` message: of everything that its listener looks at, what has changed since
// the listener was last told. If that is more than its budget, the most important comes now:
//
//   1. the gateway itself and the totals of all models
//   2. the page: which models, in which order
//   3. the opened model: its members, then its revisions
//   4. lines of the page and backends of the opened model, those first that were told longest ago
//
// What is left over is news in the next frame still, and by then has waited longer than the rest. So
// the last group goes round, and every number on the page is of at most a few seconds ago.

package import SluiceCore
package import SluiceWire

/// What a stream remembers of one who listens; pure.
package struct StreamSubscriber: Sendable {
    /// What it looks at.
    package let view: StreamView
    /// The model it has opened; nil for none.
    package private(set) var opened: String?
    /// Bytes its connection hasn't passed on yet.
    private(set) var owed = 0
    /// The last event it was told.
    package var lastEvent: Int
    /// Frames that it was too slow for.
    package private(set) var skipped = 0

    private var budget: StreamBudget
    private var isBegun = false
    private var toldGateway: [String: Int] = [:]
    private var toldPage: [UInt8] = []
    private var toldLines: [String: Int] = [:]
    private var toldParts: [ModelDetail.Key: Int] = [:]
    private var toldGeneration: [UInt8] = []
    private var toldMissing = false

    /// The page's names have so many bytes at most; the page ends earlier then.
    private static let pageBytesMaximum = 12_000
    /// Kept free for events while there are some.
    private static let eventBytes = 3_000

    /// One who has been told the events up to `lastEvent`, and nothing else.
    package init(_ view: StreamView = StreamView(), lastEvent: Int, at now: Instant) {
        self.view = view
        self.lastEvent = lastEvent
        budget = StreamBudget(at: now)
        if case .named(let name) = view.opened { opened = name }
    }

    // MARK: - Pace

    /// Whether it may be given the next frame; a frame it isn't ready for counts as skipped.
    package mutating func takesFrame() -> Bool {
        guard owed > 0 else { return true }
        skipped += 1
        return false
    }

    /// `count` bytes were handed to its connection, of which `moved` went on at once.
    package mutating func sent(_ count: Int, moved: Int) { owed += count - moved }

    /// `count` bytes that were owed have gone on.
    package mutating func drained(_ count: Int) { owed = max(0, owed - count) }

    // MARK: - Frames

    /// Chooses the model to open where that was left to the stream; before the first frame.
    package mutating func begin(_ board: inout StreamedState, at now: Instant) {
        guard !isBegun else { return }
        isBegun = true
        guard view.opened == .first else { return }
        let ranking = board.list.ranking(view.query, at: now)
        opened = ranking.dropFirst(view.offset).first.map { board.list.name(at: $0) }
    }

    /// The next `state` message: what is news to the listener, as much as its budget has room for.
    ///
    /// - Parameters:
    ///   - board: what is so now; the opened model is on it, unless there is none of its name.
    ///   - now: the time.
    ///   - hasEvents: whether events wait, so that room has to be left.
    /// - Returns: the message's bytes; the time alone where nothing is news.
    package mutating func frame(
        _ board: inout StreamedState,
        at now: Instant,
        hasEvents: Bool = false
    ) -> [UInt8] {
        begin(&board, at: now)
        let reserve = hasEvents ? StreamSubscriber.eventBytes : 0
        var frame = StreamFrame(
            room: budget.available(at: now) - reserve,
            isFull: budget.isFull,
            clock: board.clock
        )
        for member in board.gateway where toldGateway[member.name] != member.changed {
            if frame.add(member.text, to: .head) { toldGateway[member.name] = member.changed }
        }
        let places = tellPage(&frame, &board, at: now)
        tellModel(&frame, board)
        tellRest(&frame, &board, places)
        let message = ServerSentEvent.message("state", data: frame.text)
        budget.spend(message.count)
        return message
    }

    /// The next `events` message and the number of its last event; nil while there is no room.
    package mutating func eventFrame(
        _ events: [(id: Int, json: JSONValue)],
        process: String,
        at now: Instant
    ) -> [UInt8]? {
        var room = budget.available(at: now) - 128
        let isFull = budget.isFull
        var list: [JSONValue] = []
        var last = lastEvent
        for event in events {
            let count = event.json.serialized.count + 1
            guard count <= room || (list.isEmpty && isFull) else { break }
            room -= count
            list.append(event.json)
            last = event.id
        }
        guard !list.isEmpty else { return nil }
        lastEvent = last
        let message = ServerSentEvent.message(
            "events",
            data: JSONValue.array(list).serialized,
            id: "\(process)-\(last)"
        )
        budget.spend(message.count)
        return message
    }

    /// Tells which models the page has; returns their places.
    private mutating func tellPage(
        _ frame: inout StreamFrame,
        _ board: inout StreamedState,
        at now: Instant
    ) -> [Int] {
        let ranking = board.list.ranking(view.query, at: now)
        var places: [Int] = []
        var names: [UInt8] = []
        for place in ranking.dropFirst(view.offset).prefix(view.limit) {
            let name = JSONValue.string(board.list.name(at: place)).serialized
            guard names.count + name.count <= StreamSubscriber.pageBytesMaximum else { break }
            if !names.isEmpty { names.append(UInt8(ascii: ",")) }
            names += name
            places.append(place)
        }
        let head = "\"page\":{\"offset\":\(view.offset),\"matching\":\(ranking.count),\"names\":["
        let page = Array(head.utf8) + names + Array("]}".utf8)
        if page != toldPage, frame.add(page, to: .head) {
            toldPage = page
            let shown = Set(places.map { board.list.name(at: $0) })
            toldLines = toldLines.filter { shown.contains($0.key) }
        }
        return places
    }

    /// Tells the opened model's own members and revisions.
    private mutating func tellModel(_ frame: inout StreamFrame, _ board: StreamedState) {
        guard let opened else { return }
        guard board.list.place(of: opened) != nil, let detail = board.details[opened] else {
            if !toldMissing, frame.add(Array("\"model\":null".utf8), to: .head) {
                (toldMissing, toldParts, toldGeneration) = (true, [:], [])
            }
            return
        }
        toldMissing = false
        frame.model = opened
        for key in toldParts.keys where detail.places[key] == nil {
            guard let text = StreamSubscriber.gone(key) else {
                toldParts[key] = nil
                continue
            }
            if frame.add(text, to: .gone) { toldParts[key] = nil }
        }
        var isComplete = true
        for part in detail.parts where toldParts[part.key] != part.changed {
            let group: StreamFrame.Group
            switch part.key {
            case .member: group = .member
            case .revision: group = .revision
            case .backend: continue
            }
            if frame.add(part.text, to: group) {
                toldParts[part.key] = part.changed
            } else {
                isComplete = false
            }
        }
        // A change is made on the condition that the generation is the one that was looked at: it is
        // told only together with all weights of that generation.
        let generation = board.gateway.first { $0.name == "generation" }?.text ?? []
        if isComplete, generation != toldGeneration, frame.add(generation, to: .member) {
            toldGeneration = generation
        }
    }

    private static func gone(_ key: ModelDetail.Key) -> [UInt8]? {
        switch key {
        case .member: nil
        case .revision(let name): JSONValue.object([.init("revision", .string(name))]).serialized
        case .backend(let revision, let address):
            JSONValue.object([
                .init("revision", .string(revision)), .init("address", .string(address)),
            ]).serialized
        }
    }

    private enum Item {
        case line(Int)
        case backend(ModelDetail.Part)
    }

    /// Tells lines and backends, those first that were told longest ago.
    private mutating func tellRest(
        _ frame: inout StreamFrame,
        _ board: inout StreamedState,
        _ places: [Int]
    ) {
        var items: [(told: Int, item: Item)] = []
        for place in places {
            let told = toldLines[board.list.name(at: place)] ?? -1
            if told < board.list.changed(at: place) { items.append((told, .line(place))) }
        }
        if let opened, board.list.place(of: opened) != nil, let detail = board.details[opened] {
            for part in detail.parts {
                guard case .backend = part.key else { continue }
                let told = toldParts[part.key] ?? -1
                if told < part.changed { items.append((told, .backend(part))) }
            }
        }
        // Of equals, lines come first, then backends in the model's own order.
        let order = items.indices.sorted { (items[$0].told, $0) < (items[$1].told, $1) }
        for index in order {
            let item = items[index].item
            switch item {
            case .line(let place):
                guard frame.add(board.list.text(at: place), to: .line) else { return }
                toldLines[board.list.name(at: place)] = board.list.look
            case .backend(let part):
                guard frame.add(part.text, to: .backend) else { return }
                toldParts[part.key] = board.list.look
            }
        }
    }
}
