/// Counts what a peer costs against what it asks for.
///
/// Frames that carry no work (PING, SETTINGS, PRIORITY, empty DATA, unknown types, window updates)
/// are cheap one by one and ruinous by the million. A peer may send ten of them for each useful
/// frame, after a first thousand. Useful are heads, and body in either direction: who downloads
/// much answers with many window updates.
struct AbuseGuard {
    private var heads = 0
    private var moved = 0
    private var useless = 0
    private var faults = 0
    private var answers = 0

    /// Interim responses one stream may carry.
    static let interimMaximum: UInt8 = 32
    /// CONTINUATION frames one header block may take.
    static let continuationMaximum = 16
    /// Acknowledgements and resets that may wait to be written; some 170 KiB.
    static let answerMaximum = 10_000

    mutating func countUseful() { heads += 1 }

    /// Counts body bytes that went out or came in; some clients update both windows for each 4 KiB.
    mutating func countMoved(_ bytes: Int) { moved += 1 + bytes >> 12 }

    /// Counts a frame without work; throws when the budget is spent.
    mutating func countUseless() throws(HTTP2Failure) {
        useless += 1
        guard useless <= 10 * (heads + moved) + 1000 else {
            throw HTTP2Failure(.enhanceYourCalm, "too many frames that carry no work")
        }
    }

    /// Counts a stream we had to reset for the peer's mistake (CVE-2025-8671).
    mutating func countFault() throws(HTTP2Failure) {
        faults += 1
        guard faults <= 100 + heads / 20 else {
            throw HTTP2Failure(.enhanceYourCalm, "too many broken streams")
        }
    }

    /// Counts a frame we must answer; throws when the peer makes us write and doesn't read.
    mutating func countAnswer(isOutputEmpty: Bool) throws(HTTP2Failure) {
        if isOutputEmpty { answers = 0 }
        answers += 1
        guard answers <= AbuseGuard.answerMaximum else {
            throw HTTP2Failure(.enhanceYourCalm, "answers pile up that the peer doesn't read")
        }
    }
}
