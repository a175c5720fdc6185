// Whether the machine at the other end of an HTTP/2 connection is still there.
//
// A backend whose machine has gone away says nothing, and TCP needs a quarter of an hour to find out:
// for so long every request that goes that way would run into its deadline. So a connection that has
// calls to answer and has been silent for `silence` is asked by PING (RFC 9113 §6.7), and given up
// when nothing at all comes within `pingTimeout`.
//
//                 callBegan                 look: silent              look: still silent
//      asleep ───────────────► listening ───────────────► asked ─────────────────────────► give up
//         ▲                     │      ▲                    │
//         └──── look: no calls ─┘      └── look: heard ─────┘
//
// gRPC servers take one PING in five minutes from a client to which they send nothing, and answer
// the third that comes too early with GOAWAY `too_many_pings` (gRPC A8 and A9). So there is no second
// one within `pause` unless a message, or a piece of one, has come in between.
//
// The connection asks when its timer fires, which is set when a call begins and none is set: a busy
// connection pays for a comparison and a store a call, and a store a read.
import SluiceCore

/// When to ask a backend whether it is there, and when to give it up; told the time by its owner.
struct KeepAlive {
    /// What the owner does now.
    enum Action: Equatable {
        /// Nothing; the next call wakes it.
        case sleep
        /// Look again then.
        case look(Instant)
        /// Send a PING, and look again then.
        case ask(Instant)
        /// The backend isn't there.
        case giveUp
    }

    static let silence = Duration.seconds(30)
    static let pingTimeout = Duration.seconds(10)
    static let pause = Duration.seconds(300)

    /// When bytes last came; noted with every read.
    var heard: Instant
    /// When the last call began; noted with every one.
    var called: Instant
    /// Whether part of a message has come since the last PING; what a PING's answer isn't.
    var hasHeardMessage = true
    /// Since when calls have been waiting for a word.
    private var listening: Instant
    private var asked = Instant.zero
    private var isAsking = false

    init(now: Instant) {
        heard = now
        called = now
        listening = now
    }

    /// A call begins while no timer is set, and is yet to be noted: when to look.
    ///
    /// Where calls came to nothing without a word the silence goes on: each may have been given up
    /// before it had lasted long enough.
    mutating func callBegan(at now: Instant) -> Instant {
        if heard >= called { listening = now }
        return max(now, due)
    }

    /// The timer has fired.
    ///
    /// `progress` is when the backend last took bytes, where we don't read because it doesn't;
    /// silence is our own doing then.
    mutating func look(at now: Instant, hasCalls: Bool, progress: Instant?) -> Action {
        if let progress { heard = max(heard, progress) }
        if isAsking {
            guard heard > asked else {
                let end = asked + KeepAlive.pingTimeout
                return end <= now ? .giveUp : .look(end)
            }
            isAsking = false
        }
        guard hasCalls else { return .sleep }
        let due = due
        guard due <= now else { return .look(due) }
        isAsking = true
        hasHeardMessage = false
        asked = now
        return .ask(now + KeepAlive.pingTimeout)
    }

    /// When the silence has lasted long enough to ask, and asking is allowed.
    private var due: Instant {
        let silent = max(heard, listening) + KeepAlive.silence
        return hasHeardMessage ? silent : max(silent, asked + KeepAlive.pause)
    }
}
