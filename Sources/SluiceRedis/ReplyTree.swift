// What hiredis's reader builds, held flat: its callbacks append a node, and hand back the node's number
// in place of a pointer. The reader calls them in the order of the wire, so a tree is a list in which
// an array is followed by its elements: no object to free, however the reader ends.

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
    private var bytes: [UInt8] = []
    /// Why a callback stopped the reader, which itself only says "Out of memory".
    private(set) var refusal: RedisFailure?

    init(maximumBytes: Int, maximumNodes: Int) {
        self.maximumBytes = maximumBytes
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
        unsafe bytes.append(contentsOf: source)
        return start..<bytes.count
    }

    // MARK: - For the reader

    /// The reply that is now complete; the tree is empty afterwards.
    func take() -> RedisReply {
        defer {
            nodes.removeAll(keepingCapacity: nodes.count <= 1024)
            bytes.removeAll(keepingCapacity: bytes.count <= 65_536)
        }
        // A value alone, the common case, takes the memory with it instead of being copied.
        if nodes.count == 1, case .bytes = nodes[0] {
            let value = bytes
            bytes = []
            return .bytes(value)
        }
        // The reader nests eight deep at most, and so does this.
        var next = 0
        return reply(&next)
    }

    private func reply(_ next: inout Int) -> RedisReply {
        let node = nodes[next]
        next += 1
        switch node {
        case .status(let range): return .status(String(decoding: bytes[range], as: UTF8.self))
        case .error(let range): return .error(String(decoding: bytes[range], as: UTF8.self))
        case .bytes(let range): return .bytes(Array(bytes[range]))
        case .integer(let value): return .integer(value)
        case .null: return .null
        case .array(let count):
            var elements: [RedisReply] = []
            elements.reserveCapacity(count)
            for _ in 0..<count { elements.append(reply(&next)) }
            return .array(elements)
        }
    }
}
