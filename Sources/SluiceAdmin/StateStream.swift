// Who is told, and when
// ---------------------
// Each second one frame is made and handed to all subscribers; it holds the whole state, so whoever
// misses one misses nothing but a second. A subscriber whose connection still owes bytes of an
// earlier frame is passed over: what waits for a slow reader is one frame and what the connection
// itself buffers, never a queue. Events must not be lost that way: each subscriber has the number
// of the last event it was told, and gets those since with the next frame that it takes. A change
// is told at once, but a hundred changes in a moment make one frame.

import SluiceCore
import SluiceIO
import SluiceIngress
import SluiceWire

/// What a stream remembers of one who listens; pure.
package struct StreamSubscriber: Sendable {
    /// Bytes its connection hasn't passed on yet.
    private(set) var owed = 0
    /// The last event it was told.
    package var lastEvent: Int
    /// Frames that it was too slow for.
    package private(set) var skipped = 0

    /// One who has been told the events up to `lastEvent`.
    package init(lastEvent: Int) { self.lastEvent = lastEvent }

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
}

/// `GET /api/v1/stream`: the state as server-sent events, once a second, to a bounded number.
final class StateStream: TimerTarget {
    private struct Listener {
        let exchange: Exchange
        var subscriber: StreamSubscriber
    }

    /// How many may listen at once.
    static let maximum = 64

    /// How long a change waits for others.
    static let patience = Duration.milliseconds(50)

    private let loop: EventLoop
    private let source: GatewayState
    private var listeners: [UInt: Listener] = [:]
    private var timer = TimerID.none
    /// Frames that listeners were too slow for, since the start.
    private(set) var skippedFrames = 0

    /// A stream of what `source` says, without listeners.
    init(loop: EventLoop, source: GatewayState) {
        self.loop = loop
        self.source = source
    }

    /// How many listen.
    var count: Int { listeners.count }

    /// Whether another one may listen.
    var hasRoom: Bool { listeners.count < StateStream.maximum }

    /// Tells a new listener everything; its answer's head has been sent.
    ///
    /// - Parameters:
    ///   - exchange: where to; alive until ``left(_:)`` is called with `key`.
    ///   - key: the listener's name.
    func add(_ exchange: Exchange, key: UInt) {
        listeners[key] = Listener(exchange: exchange, subscriber: StreamSubscriber(lastEvent: 0))
        send(ServerSentEvent.retry(milliseconds: 1000) + frame(), to: key)
        tellEvents(to: key)
    }

    /// `count` bytes that were held back have gone on.
    func drained(_ key: UInt, _ count: Int) { listeners[key]?.subscriber.drained(count) }

    /// A listener is gone.
    func left(_ key: UInt) { listeners[key] = nil }

    /// Tells everybody who keeps up.
    func publish() {
        guard !listeners.isEmpty else { return }
        let bytes = frame()
        for key in listeners.keys.sorted() {
            guard listeners[key]?.subscriber.takesFrame() == true else {
                skippedFrames += 1
                continue
            }
            send(bytes, to: key)
            tellEvents(to: key)
        }
    }

    /// Something has changed; everybody is told soon.
    func changed() {
        guard !listeners.isEmpty, timer == .none else { return }
        timer = loop.setTimer(after: StateStream.patience, target: self, tag: 0)
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
            unsafe listener.exchange.user = nil
            unsafe _ = listener.exchange.send(
                UnsafeRawBufferPointer(start: nil, count: 0),
                endStream: true
            )
        }
    }

    private func frame() -> [UInt8] {
        ServerSentEvent.message("state", data: source.json.serialized)
    }

    private func tellEvents(to key: UInt) {
        guard let since = listeners[key]?.subscriber.lastEvent else { return }
        let (list, last) = source.events(after: since)
        guard !list.isEmpty else { return }
        listeners[key]?.subscriber.lastEvent = last
        send(ServerSentEvent.message("events", data: JSONValue.array(list).serialized), to: key)
    }

    private func send(_ bytes: [UInt8], to key: UInt) {
        guard let listener = listeners[key] else { return }
        let moved = unsafe bytes.withUnsafeBytes {
            unsafe listener.exchange.send($0, endStream: false)
        }
        listeners[key]?.subscriber.sent(bytes.count, moved: moved)
    }
}
