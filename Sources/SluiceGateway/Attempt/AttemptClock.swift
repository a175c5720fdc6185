import SluiceCore

/// What of an attempt's time its caller took, to send the request or to take the answer.
///
/// Begun in its ``RequestSlot`` by the first bytes that must wait.
///
/// Backends are judged by the rest. Both directions are told by what waits: bytes of the request that
/// the backend hasn't taken are its own delay, bytes of the answer that the caller hasn't taken are not.
@safe
struct AttemptClock: BitwiseCopyable {
    private var untaken = 0
    private var untakenSince = Instant.zero
    private var unread = 0
    private var unreadSince = Instant.zero
    private var unreadTime: Int64 = 0

    /// Since when the backend hasn't taken all of the request that there is; nil when it has.
    var stalledSince: Instant? { untaken > 0 ? untakenSince : nil }

    /// Nanoseconds in which the answer waited for its caller.
    func unreadTime(at now: Instant) -> Int64 {
        unreadTime + (unread > 0 ? now.nanoseconds(since: unreadSince) : 0)
    }

    /// So many bytes of the request wait for the backend.
    mutating func wait(forBackend count: Int, at now: Instant) {
        if untaken == 0 { untakenSince = now }
        untaken += count
    }

    /// The backend has taken so many bytes that waited.
    mutating func taken(_ count: Int) { untaken = max(0, untaken - count) }

    /// So many bytes of the answer wait for the caller.
    mutating func wait(forCaller count: Int, at now: Instant) {
        if unread == 0 { unreadSince = now }
        unread += count
    }

    /// The caller has taken so many bytes that waited.
    mutating func read(_ count: Int, at now: Instant) {
        guard unread > 0 else { return }
        unread = max(0, unread - count)
        if unread == 0 { unreadTime += now.nanoseconds(since: unreadSince) }
    }
}
