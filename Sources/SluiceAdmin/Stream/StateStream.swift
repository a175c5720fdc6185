// Who is told, and when
// ---------------------
// Each second all listeners are told what has changed since each of them was last told, in the
// part of the state that it looks at, within its budget of bytes (``StreamSubscriber``). A listener
// whose connection still owes bytes of an earlier frame is passed over: what waits for a slow reader
// is one frame and what the connection itself buffers, never a queue; its next frame has the news of
// both. Events must not be lost that way: each listener has the number of the last event it was
// told, and gets those since with the next frame that it takes. A change is told at once, but a
// hundred changes in a moment make one frame.

import SluiceControl
import SluiceCore
import SluiceIO
import SluiceIngress
import SluiceWire

/// `GET /api/v1/stream`: the state as server-sent events, once a second, to a bounded number.
final class StateStream: TimerTarget {
    private struct Listener {
        let exchange: Exchange
        var subscriber: StreamSubscriber
    }

    /// How many may listen at once.
    static let maximum = 64

    /// How long a change waits for others.
    static let coalescingDelay = Duration.milliseconds(50)

    private let loop: EventLoop
    private let source: GatewayState
    private var listeners: [UInt: Listener] = [:]
    private var timer = TimerID.none
    /// Frames that listeners were too slow for, since the start.
    private(set) var skippedFrames = 0
    /// Bytes that listeners were sent, since the start.
    private(set) var sentBytes = 0

    /// A stream of what `source` says, without listeners.
    init(loop: EventLoop, source: GatewayState) {
        self.loop = loop
        self.source = source
    }

    /// How many listen.
    var count: Int { listeners.count }

    /// Whether another one may listen.
    var hasRoom: Bool { listeners.count < StateStream.maximum }

    /// Tells a new listener what it looks at; its answer's head has been sent.
    ///
    /// - Parameters:
    ///   - exchange: where to; alive until ``left(_:)`` is called with `key`.
    ///   - key: the listener's name.
    ///   - view: what it looks at.
    ///   - known: the id of the last `events` message that it has.
    func add(_ exchange: Exchange, key: UInt, view: StreamView, known: String?) {
        source.look(opened: opened)
        var subscriber = StreamSubscriber(
            view,
            lastEvent: source.lastEvent(known: known),
            at: source.now
        )
        subscriber.begin(&source.board, at: source.now)
        listeners[key] = Listener(exchange: exchange, subscriber: subscriber)
        if let name = subscriber.opened { source.open(name) }
        send(ServerSentEvent.retry(milliseconds: 1000), to: key)
        post(key)
    }

    /// `count` bytes that were held back have gone on.
    func drained(_ key: UInt, _ count: Int) { listeners[key]?.subscriber.drained(count) }

    /// A listener is gone.
    func left(_ key: UInt) { listeners[key] = nil }

    /// Tells everybody who keeps up.
    func publish() {
        guard !listeners.isEmpty else { return }
        source.look(opened: opened)
        for key in listeners.keys.sorted() {
            guard listeners[key]?.subscriber.takesFrame() == true else {
                skippedFrames += 1
                continue
            }
            post(key)
        }
    }

    /// Something has changed; everybody is told soon.
    func changed() {
        guard !listeners.isEmpty, timer == .none else { return }
        timer = loop.setTimer(after: StateStream.coalescingDelay, target: self, tag: 0)
    }

    func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        publish()
    }

    /// Ends all answers, so that clients know that nothing follows.
    func close() {
        loop.cancelTimer(&timer)
        for key in listeners.keys.sorted() {
            guard let listener = listeners.removeValue(forKey: key) else { continue }
            unsafe listener.exchange.context = nil
            unsafe _ = listener.exchange.send(
                UnsafeRawBufferPointer(start: nil, count: 0),
                endStream: true
            )
        }
    }

    private var opened: Set<String> { Set(listeners.values.compactMap(\.subscriber.opened)) }

    private func post(_ key: UInt) {
        guard var subscriber = listeners[key]?.subscriber else { return }
        let events = source.events(after: subscriber.lastEvent)
        let now = source.tick()
        let state = subscriber.frame(&source.board, at: now, hasEvents: !events.isEmpty)
        let news =
            events.isEmpty
            ? nil
            : subscriber.eventFrame(
                events.map { ($0.id, $0.brief.json) },
                process: source.process,
                at: now
            )
        listeners[key]?.subscriber = subscriber
        send(state, to: key)
        if let news { send(news, to: key) }
    }

    private func send(_ bytes: [UInt8], to key: UInt) {
        guard let listener = listeners[key] else { return }
        sentBytes += bytes.count
        let moved = unsafe bytes.withUnsafeBytes {
            unsafe listener.exchange.send($0, endStream: false)
        }
        listeners[key]?.subscriber.sent(bytes.count, moved: moved)
    }
}

extension ChangeEvent {
    /// The event with its texts cut to what a page shows; `/api/v1/events` has them whole.
    fileprivate var brief: ChangeEvent {
        func cut(_ text: String) -> String {
            text.utf8.count <= 1000 ? text : String(text.prefix(250)) + "…"
        }
        var event = self
        (event.who, event.message) = (cut(who), cut(message))
        (event.from, event.to) = (from.map(cut), to.map(cut))
        return event
    }
}
