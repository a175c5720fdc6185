// What a peer costs against what it asks for.
//
// Frames that carry no work (PRIORITY, empty DATA, unknown types, window updates) are cheap one by
// one and ruinous by the million. A peer may send ten of them for each useful frame, after a first
// thousand. Useful are heads, and body in either direction: who downloads much answers with many
// window updates. What must be answered has narrower budgets of its own: PING, one for each useful
// frame, because honest gRPC clients measure their line with one per DATA they receive; SETTINGS,
// a hundred a minute.
//
// A session reads no clock. Its owner hands the time in with the bytes, and each second that has
// passed forgives a few: a connection may be quiet for a week and ping all the while. Without the
// time the budgets are for the connection's whole life.

/// Counts what a peer costs against what it asks for.
struct AbuseGuard {
    /// Frames that carry no work, by the budget they are taken from.
    enum Nuisance { case ping, settings, other }

    private var heads = 0
    private var moved = 0
    private var useless = 0
    private var pings = 0
    private var settings = 0
    private var faults = 0
    private var answers = 0
    private var resets = 0
    // The second that is being measured: when it began, and how many heads there were before.
    private var second: Int64 = 0
    private var headsBefore = 0
    private var secondCount = 0

    /// Interim responses one stream may carry.
    static let interimMaximum: UInt8 = 32
    /// CONTINUATION frames one header block may take.
    static let continuationMaximum = 16
    /// Acknowledgements and resets that may wait to be written; some 170 KiB.
    static let answerMaximum = 10_000
    /// Streams that must be opened within a second before resets are judged, as Envoy does.
    static let streamsMinimum = 250
    /// Frames without work, pings and faults that each second forgives.
    private static let forgiven = 10
    private static let settingsPerMinute = 100
    private static let nanosecondsPerSecond: Int64 = 1_000_000_000

    /// Notes that it is `now`, in nanoseconds of the owner's clock.
    @inline(__always)
    mutating func note(_ now: Int64) {
        if now &- second >= AbuseGuard.nanosecondsPerSecond { pass(to: now) }
    }

    @inline(never)
    private mutating func pass(to now: Int64) {
        let count =
            second == 0 ? 1 : Int(clamping: (now - second) / AbuseGuard.nanosecondsPerSecond)
        second = now
        headsBefore = heads
        resets = 0
        let forgiven = min(count, 1_000_000) * AbuseGuard.forgiven
        useless = max(0, useless - forgiven)
        pings = max(0, pings - forgiven)
        faults = max(0, faults - forgiven)
        secondCount += min(count, 60)
        if secondCount >= 60 {
            secondCount = 0
            settings = 0
        }
    }

    mutating func countUseful() { heads += 1 }

    /// Counts body bytes that went out or came in; some clients update both windows for each 4 KiB.
    mutating func countMoved(_ bytes: Int) { moved += 1 + bytes >> 12 }

    /// Counts a frame without work; throws when its budget is spent.
    mutating func countUseless(_ kind: Nuisance = .other) throws(HTTP2Failure) {
        switch kind {
        case .ping:
            pings += 1
            guard pings <= 1000 + heads + moved else {
                throw HTTP2Failure(.pingFlood, "more PING than answers to measure")
            }
        case .settings:
            settings += 1
            guard settings <= AbuseGuard.settingsPerMinute else {
                throw HTTP2Failure(.settingsFlood, "SETTINGS over and over")
            }
        case .other:
            useless += 1
            guard useless <= 10 * (heads + moved) + 1000 else {
                throw HTTP2Failure(.uselessFrames, "too many frames that carry no work")
            }
        }
    }

    /// Counts an open stream that its client has reset; throws when that is what it opens them for.
    ///
    /// A client that gives up on half of what it has just asked for, by the hundred, isn't waiting
    /// for answers (CVE-2023-44487). Few, or of streams opened long ago, are deadlines that passed.
    mutating func countReset() throws(HTTP2Failure) {
        resets += 1
        let opened = heads - headsBefore
        guard opened < AbuseGuard.streamsMinimum || resets * 2 < opened else {
            throw HTTP2Failure(.rapidReset, "streams are opened to be reset")
        }
    }

    /// Counts a stream we had to reset for the peer's mistake (CVE-2025-8671).
    mutating func countFault() throws(HTTP2Failure) {
        faults += 1
        guard faults <= 100 + heads / 20 else {
            throw HTTP2Failure(.brokenStreams, "too many broken streams")
        }
    }

    /// Counts a frame we must answer; throws when the peer makes us write and doesn't read.
    mutating func countAnswer(isOutputEmpty: Bool) throws(HTTP2Failure) {
        if isOutputEmpty { answers = 0 }
        answers += 1
        guard answers <= AbuseGuard.answerMaximum else {
            throw HTTP2Failure(.unreadAnswers, "answers pile up that the peer doesn't read")
        }
    }
}
