private import Synchronization

/// A bounded queue with many writers and one reader: the only way to send to another loop.
package final class Mailbox<Message: Sendable>: Sendable {
    private let waiting = Mutex<[Message]>([])
    private let capacity: Int

    /// An empty mailbox that refuses what goes beyond `capacity`.
    package init(capacity: Int = 65_536) { self.capacity = capacity }

    /// Leaves a message; false when the mailbox is full, and then the message is dropped.
    package func post(_ message: Message) -> Bool {
        waiting.withLock { waiting in
            guard waiting.count < capacity else { return false }
            waiting.append(message)
            return true
        }
    }

    /// Takes everything that waits, oldest first.
    package func takeAll() -> [Message] {
        waiting.withLock { waiting in
            guard !waiting.isEmpty else { return [] }
            let taken = waiting
            waiting = []
            return taken
        }
    }
}
