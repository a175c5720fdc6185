private import CHiredis
// hiredis's reply reader, held to bounds it doesn't have itself. The only file that touches
// `redisReader*`.
import SluiceCore

/// Replies out of bytes, in the order of the wire.
@safe
struct RESPReader: ~Copyable {
    /// Longest line: a status, an error, a number or a length.
    static let maximumLineBytes = 65_536
    /// How many values and arrays one reply may have.
    static let maximumNodes = 65_536

    private let reader: UnsafeMutablePointer<redisReader>
    // The reader keeps a pointer to this table for its whole life.
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let tree: ReplyTree
    private let maximumBytes: Int

    /// A reader that refuses replies beyond `maximumBytes`.
    init(maximumBytes: Int, pool: BufferPool) {
        self.maximumBytes = maximumBytes
        tree = ReplyTree(
            maximumBytes: maximumBytes,
            maximumNodes: RESPReader.maximumNodes,
            pool: pool
        )
        unsafe functions = .allocate(capacity: 1)
        unsafe functions.initialize(
            to: redisReplyObjectFunctions(
                createString: makeString,
                createArray: makeArray,
                createInteger: makeInteger,
                createNil: makeNull,
                freeObject: freeNothing
            )
        )
        guard let reader = unsafe redisReaderCreateWithFunctions(functions) else {
            preconditionFailure("out of memory for a reply reader")
        }
        unsafe self.reader = reader
        // Not retained: the tree lives as long as this struct, the reader's only user.
        unsafe reader.pointee.privdata = Unmanaged.passUnretained(tree).toOpaque()
    }

    deinit {
        unsafe redisReaderFree(reader)
        unsafe functions.deinitialize(count: 1)
        unsafe functions.deallocate()
    }

    /// Takes a copy of bytes from the wire; call ``next()`` until it returns false afterwards.
    func feed(_ bytes: UnsafeRawBufferPointer) throws(RedisFailure) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        let text = unsafe base.assumingMemoryBound(to: CChar.self)
        guard unsafe redisReaderFeed(reader, text, bytes.count) == REDIS_OK else {
            throw failure()
        }
    }

    /// Reads the next reply whole; false when more bytes are needed.
    func next() throws(RedisFailure) -> Bool {
        tree.clear()
        var object: UnsafeMutableRawPointer?
        guard unsafe redisReaderGetReply(reader, &object) == REDIS_OK else { throw failure() }
        if unsafe object != nil {
            tree.isComplete = true
            return true
        }
        try checkUnread()
        return false
    }

    /// The reply that was read, if it is a value and nothing else; valid until the next is read.
    var value: UnsafeRawBufferPointer? { unsafe tree.value }

    /// The reply that was read, whatever it is.
    var reply: RedisReply { tree.read() }

    /// Refuses an unfinished item that can only become too large.
    ///
    /// The reader would wait for 8 EiB, and looks through an unfinished line from its start at each
    /// feed; so a line must show its end within ``maximumLineBytes``.
    private func checkUnread() throws(RedisFailure) {
        let unread = unsafe reader.pointee.len - reader.pointee.pos
        guard unread > RESPReader.maximumLineBytes else { return }
        guard unread <= maximumBytes + RESPReader.maximumLineBytes else { throw .tooLarge }
        // The reader owns the buffer until the next feed; `unread` bytes lie from `pos` on. A value
        // waits at its length, so its line ends within the first bytes.
        let line = unsafe UnsafeRawBufferPointer(
            start: reader.pointee.buf + reader.pointee.pos,
            count: RESPReader.maximumLineBytes
        )
        guard unsafe line.contains(0x0A) else { throw .tooLarge }
    }

    private func failure() -> RedisFailure {
        if let refusal = tree.refusal { return refusal }
        // An array of characters that ends in zero, in the reader's own memory.
        return unsafe withUnsafeBytes(of: &reader.pointee.errstr) { text in
            unsafe .malformed(String(decoding: text.prefix { $0 != 0 }, as: UTF8.self))
        }
    }
}
