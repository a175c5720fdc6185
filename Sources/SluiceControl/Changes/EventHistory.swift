import SluiceCore
package import SluiceTelemetry
package import SluiceWire
import Synchronization

/// One change of the running state: who, when, from what, to what.
package struct ChangeEvent: Sendable, Equatable {
    /// What changed.
    package enum Kind: String, Sendable {
        case start, reload, traffic, backend, cache, rollout
    }

    /// Counts events from 1; gaps mean that older ones are forgotten.
    package var id = 0
    package var time: WallTime
    /// `admin 127.0.0.1`, `rollout`, `signal`, `file`.
    package var who: String
    package var kind: Kind
    package var model: String?
    package var from: String?
    package var to: String?
    /// One sentence for people.
    package var message: String

    /// An event; the history gives it its number.
    package init(
        time: WallTime,
        who: String,
        kind: Kind,
        model: String? = nil,
        from: String? = nil,
        to: String? = nil,
        message: String
    ) {
        self.time = time
        self.who = who
        self.kind = kind
        self.model = model
        self.from = from
        self.to = to
        self.message = message
    }

    /// As the admin API shows it.
    package var json: JSONValue {
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        return .object([
            .init("id", .number("\(id)")), .init("time", .string(time.text)),
            .init("who", .string(who)), .init("kind", .string(kind.rawValue)),
            .init("model", text(model)), .init("from", text(from)), .init("to", text(to)),
            .init("message", .string(message)),
        ])
    }
}

/// The last changes, oldest first; bounded, in memory.
package final class EventHistory: Sendable {
    private struct State {
        var events: [ChangeEvent] = []
        var nextID = 1
    }

    /// How many events are kept.
    package static let maximum = 500
    private let state = Mutex(State())

    /// A history without events.
    package init() {}

    /// Keeps an event and gives it the next number; returns it with that.
    @discardableResult
    package func add(_ event: ChangeEvent) -> ChangeEvent {
        state.withLock { state in
            var event = event
            event.id = state.nextID
            event.message = Redaction.text(event.message)
            state.nextID += 1
            state.events.append(event)
            if state.events.count > EventHistory.maximum { state.events.removeFirst() }
            return event
        }
    }

    /// The events with a number above `id`, oldest first.
    package func events(after id: Int) -> [ChangeEvent] {
        state.withLock { state in state.events.filter { $0.id > id } }
    }
}
