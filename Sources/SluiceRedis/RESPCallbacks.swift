// swift-format-ignore-file: NeverForceUnwrap

// The functions hiredis's reader calls back. Its promises (read.c, 0.14.1): `task` is never null and
// its `privdata` is the reader's, which RESPReader sets to a ReplyTree it owns; `text` points at
// `length` bytes followed by two more, which should be CR LF; what a function returns is stored and
// handed back, never looked into; null ends the reader with an error.
import CHiredis

/// Simple strings, errors and values.
func makeString(
    _ task: UnsafePointer<redisReadTask>?,
    _ text: UnsafeMutablePointer<CChar>?,
    _ length: Int
) -> UnsafeMutableRawPointer? {
    let tree = unsafe replyTree(task)
    // The reader counts a value's bytes and doesn't look at what ends it: a wrong length would be
    // noticed only by nonsense in the next reply, or never.
    guard unsafe text![length] == 0x0D, unsafe text![length + 1] == 0x0A else {
        return unsafe handle(tree.refuseLength())
    }
    let bytes = unsafe UnsafeRawBufferPointer(start: text, count: length)
    switch unsafe task!.pointee.type {
    case REDIS_REPLY_STATUS: return unsafe handle(tree.addStatus(bytes))
    case REDIS_REPLY_ERROR: return unsafe handle(tree.addError(bytes))
    default: return unsafe handle(tree.addBytes(bytes))
    }
}

/// The head of an array; its elements follow.
func makeArray(_ task: UnsafePointer<redisReadTask>?, _ count: Int32) -> UnsafeMutableRawPointer? {
    unsafe handle(replyTree(task).addArray(count: Int(count)))
}

/// A number.
func makeInteger(
    _ task: UnsafePointer<redisReadTask>?,
    _ value: Int64
) -> UnsafeMutableRawPointer? {
    unsafe handle(replyTree(task).addInteger(value))
}

/// A missing value.
func makeNull(_ task: UnsafePointer<redisReadTask>?) -> UnsafeMutableRawPointer? {
    unsafe handle(replyTree(task).addNull())
}

/// Nothing: handles are numbers, the tree holds what they stand for.
func freeNothing(_ object: UnsafeMutableRawPointer?) {}

/// The number as the pointer the reader wants; zero becomes null.
private func handle(_ number: Int) -> UnsafeMutableRawPointer? {
    unsafe UnsafeMutableRawPointer(bitPattern: number)
}

private func replyTree(_ task: UnsafePointer<redisReadTask>?) -> ReplyTree {
    unsafe Unmanaged<ReplyTree>.fromOpaque(task!.pointee.privdata!).takeUnretainedValue()
}
