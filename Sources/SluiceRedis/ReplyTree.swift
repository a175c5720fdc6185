// What hiredis's reader builds, held flat: its callbacks append a node, and hand back the node's number
// in place of a pointer. The reader calls them in the order of the wire, so a tree is a list in which
// an array is followed by its elements: no object to free, however the reader ends.

import SluiceCore

/// The reply being read; owned by the reader, filled by the callbacks.
@safe
final class ReplyTree {
    private enum Node {
        case status(Range<Int>), error(Range<Int>), bytes(Range<Int>)
        case integer(Int64)
        case null
        case array(Int)
    }

    private let maximumBytes: Int
    private let maximumNodes: Int
    private var nodes: [Node] = []
    private var bytes: ByteBuffer
    /// Whether the reply is whole; the next that is read takes its place.
    var isComplete = false
    /// Why a callback stopped the reader, which itself only says "Out of memory".
    private(set) var refusal: RedisFailure?

    /// Memory that is kept for the next reply: nodes, and bytes.
    private static let (keptNodes, keptBytes) = (1024, 65_536)

    init(maximumBytes: Int, maximumNodes: Int, pool: BufferPool) {
        self.maximumBytes = maximumBytes
        bytes = ByteBuffer(pool: pool)
        self.maximumNodes = maximumNodes
    }

    // MARK: - For the callbacks

    /// Each returns the node's number, from one on, or zero to stop the reader.
    func addStatus(_ text: UnsafeRawBufferPointer) -> Int {
        unsafe copy(text).map { add(.status($0)) } ?? 0
    }

    func addError(_ text: UnsafeRawBufferPointer) -> Int {
        unsafe copy(text).map { add(.error($0)) } ?? 0
    }

    func addBytes(_ value: UnsafeRawBufferPointer) -> Int {
        unsafe copy(value).map { add(.bytes($0)) } ?? 0
    }

    func addInteger(_ value: Int64) -> Int { add(.integer(value)) }

    func addNull() -> Int { add(.null) }

    func addArray(count: Int) -> Int {
        guard count <= maximumNodes - nodes.count else {
            refusal = .tooLarge
            return 0
        }
        return add(.array(count))
    }

    /// A value isn't followed by the end of its line.
    func refuseLength() -> Int {
        refusal = .malformed("a value isn't as long as it was said to be")
        return 0
    }

    private func add(_ node: Node) -> Int {
        guard nodes.count < maximumNodes else {
            refusal = .tooLarge
            return 0
        }
        nodes.append(node)
        return nodes.count
    }

    private func copy(_ source: UnsafeRawBufferPointer) -> Range<Int>? {
        guard source.count <= maximumBytes - bytes.count else {
            refusal = .tooLarge
            return nil
        }
        let start = bytes.count
        unsafe bytes.append(source)
        return start..<bytes.count
    }

    // MARK: - For the reader

    /// Forgets the reply that is complete; one that is being read goes on.
    func clear() {
        guard isComplete else { return }
        isComplete = false
        nodes.removeAll(keepingCapacity: nodes.count <= ReplyTree.keptNodes)
        if bytes.count > ReplyTree.keptBytes {
            bytes.removeAll()
        } else {
            bytes.truncate(bytes.count)
        }
    }

    /// The complete reply's bytes if it is a value and nothing else, until it is cleared.
    var value: UnsafeRawBufferPointer? {
        // Nothing but that value has been copied, then.
        if nodes.count == 1, case .bytes = nodes[0] { unsafe bytes.bytes } else { nil }
    }

    /// The complete reply, whatever it is.
    func read() -> RedisReply {
        // The reader nests eight deep at most, and so does this.
        var next = 0
        return reply(&next)
    }

    private func reply(_ next: inout Int) -> RedisReply {
        let node = nodes[next]
        next += 1
        switch node {
        case .status(let range): return .status(text(range))
        case .error(let range): return .error(text(range))
        case .bytes(let range): return unsafe .bytes(Array(bytes.bytes[range]))
        case .integer(let value): return .integer(value)
        case .null: return .null
        case .array(let count):
            var elements: [RedisReply] = []
            elements.reserveCapacity(count)
            for _ in 0..<count { elements.append(reply(&next)) }
            return .array(elements)
        }
    }

    private func text(_ range: Range<Int>) -> String {
        unsafe String(decoding: bytes.bytes[range], as: UTF8.self)
    }
}
