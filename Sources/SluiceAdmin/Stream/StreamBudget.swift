package import SluiceCore

/// How many bytes a listener may be sent: a bucket that fills by the second.
///
/// A full bucket is less than half of what any second may see: it may be emptied at the second's
/// beginning and what has flown in meanwhile at its end. What is left is for a message that is larger
/// than the bucket, and for the transport's own bytes.
package struct StreamBudget: Sendable {
    /// Bytes that flow in each second, and that the bucket holds.
    package static let bytesPerSecond = 20_000
    /// Bytes that any second sees at most, from whenever it is counted.
    package static let anySecondMaximum = 50_000

    private var level = StreamBudget.bytesPerSecond
    private var filled: Instant

    /// A full bucket.
    package init(at now: Instant) { filled = now }

    /// Bytes that may be sent now; below zero after something larger than the bucket.
    package mutating func available(at now: Instant) -> Int {
        let elapsed = max(0, min(now.nanoseconds(since: filled), 60_000_000_000))
        let flown = Int(elapsed) * StreamBudget.bytesPerSecond / 1_000_000_000
        // What is less than a byte flows in later.
        if flown > 0 {
            level = min(StreamBudget.bytesPerSecond, level + flown)
            filled = now
        }
        return level
    }

    /// Whether the bucket is full: what is larger than it has to go now or never.
    package var isFull: Bool { level == StreamBudget.bytesPerSecond }

    /// Takes what was sent.
    package mutating func spend(_ count: Int) { level -= count }
}
