import SluiceCache
import SluiceIngress

// Look-ahead: what is known of a message that has come behind its head is fetched before its turn.
extension Worker {
    /// Reads a message that has come behind its head, before its turn, and has what is known of it
    /// fetched.
    ///
    /// By the time the request is understood it is there: 8 % of a hit were waiting for it.
    func lookAhead(_ exchange: Exchange) -> ExactRequestKeyCache.Message? {
        guard let bytes = unsafe exchange.upcomingBody,
            let message = unsafe ExactRequestKeyCache.Message(bytes)
        else { return nil }
        memo.fetch(message)
        return message
    }

    /// Has the answer fetched that a message read ahead will most likely get: what is known of it has
    /// come by now, and its name isn't read yet.
    func prefetchAnswer() {
        guard let message = prefetched?.message, let cache = unsafe cache,
            let known = memo.guess(message)
        else { return }
        unsafe cache._withUnsafeGuaranteedRef { $0.memory.fetch(known.key, at: known.place) }
    }
}
