/// Why a client's connection, or a stream of it, was ended as an attack would be.
///
/// The raw value is the label in metrics.
package enum AbuseReason: String, CaseIterable, Sendable {
    /// Streams opened and reset at once (CVE-2023-44487).
    case rapidReset = "rapid_reset"
    /// Streams that we had to reset for the peer's mistakes (CVE-2025-8671).
    case brokenStreams = "broken_streams"
    /// A header block in too many CONTINUATION frames.
    case continuationFlood = "continuation_flood"
    /// A header block that unfolds to over four times `limits.maxHeaderBytes`.
    case headerBomb = "header_bomb"
    /// PING beyond what bandwidth estimates and keep-alive take.
    case pingFlood = "ping_flood"
    /// SETTINGS again and again.
    case settingsFlood = "settings_flood"
    /// Empty DATA, PRIORITY, window updates, unknown types: frames that carry no work.
    case uselessFrames = "useless_frames"
    /// Acknowledgements and resets pile up that the peer doesn't read.
    case unreadAnswers = "unread_answers"
    /// Our SETTINGS were never acknowledged.
    case settingsTimeout = "settings_timeout"
    /// A head larger than `limits.maxHeaderBytes`, answered with 431 or 414.
    case largeHead = "large_head"
    /// A head, or a first byte, that didn't come within `limits.headerTimeout`.
    case slowHead = "slow_head"
    /// A body slower than 1 KiB a second over `limits.bodyTimeout`.
    case slowBody = "slow_body"
    /// Nothing was read for `limits.bodyTimeout`.
    case slowReader = "slow_reader"
    /// An answer that was given no window for longer than `limits.bodyTimeout`.
    case zeroWindow = "zero_window"
}
