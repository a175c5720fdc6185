/// One worker's end of the access log: formats lines into a piece and hands full pieces over.
///
/// While the writer works on one piece the worker fills the next. Nothing here waits: without a
/// piece a line is dropped and counted. What's left goes to the channel when the buffer goes.
package final class AccessBuffer {
    private let channel: AccessChannel
    private var line = AccessLine()
    private var fragment = AccessFragment.none

    /// A buffer that takes its pieces from `channel`.
    package init(channel: AccessChannel) { self.channel = channel }

    deinit { flush() }

    /// Appends the record's line, or drops it when there's no room.
    ///
    /// - Returns: whether a full piece went to the channel, so that the writer wants waking.
    @discardableResult
    package func append(_ record: AccessRecord) -> Bool {
        let bound = AccessLine.bound(record)
        var handedOver = false
        if fragment.room < bound {
            handedOver = flush()
            fragment = channel.takeEmpty()
            guard fragment.isReal else {
                channel.countDropped()
                return handedOver
            }
        }
        fragment.append(record, with: &line)
        return handedOver
    }

    /// Hands over a piece that isn't full yet; for the worker's timer.
    ///
    /// - Returns: whether there was anything, so that the writer wants waking.
    @discardableResult
    package func flush() -> Bool {
        guard unsafe !fragment.bytes.isEmpty else { return false }
        var full = AccessFragment.none
        swap(&full, &fragment)
        channel.handOver(full)
        return true
    }
}
