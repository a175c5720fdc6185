/// Counts what a peer costs against what it asks for.
///
/// Frames that carry no work (PING, SETTINGS, PRIORITY, empty DATA, unknown types, updates of
/// closed streams) are cheap one by one and ruinous by the million. A peer may send ten of them
/// for each useful frame, after a first thousand.
struct AbuseGuard {
    private var useful = 0
    private var useless = 0
    private var faults = 0

    /// Interim responses one stream may carry.
    static let interimMaximum: UInt8 = 32
    /// CONTINUATION frames one header block may take.
    static let continuationMaximum = 16

    mutating func countUseful() { useful += 1 }

    /// Counts a frame without work; throws when the budget is spent.
    mutating func countUseless() throws(HTTP2Failure) {
        useless += 1
        guard useless <= 10 * useful + 1000 else {
            throw HTTP2Failure(.enhanceYourCalm, "too many frames that carry no work")
        }
    }

    /// Counts a stream we had to reset for the peer's mistake (CVE-2025-8671).
    mutating func countFault() throws(HTTP2Failure) {
        faults += 1
        guard faults <= 100 + useful / 20 else {
            throw HTTP2Failure(.enhanceYourCalm, "too many broken streams")
        }
    }
}
