import SluiceCore
import SluiceHTTP
import SluiceInference

/// The REST paths that were read last, and what they ask for.
///
/// A gateway is asked for a few paths over and over, and one that comes again is compared instead of
/// read: some 40 instructions instead of 900. Queries are no part of it. Only paths without escapes are
/// kept, so one that is found has none.
///
/// A handle, so that asking costs no exclusivity check; its maker deallocates it.
@safe
struct PathMemo: BitwiseCopyable {
    private struct Entry {
        var text = InlineArray<128, UInt8>(repeating: 0)
        var count = 0
        var path: InferencePath
    }

    @safe
    private struct State: BitwiseCopyable {
        let entries: UnsafeMutablePointer<Entry>
        var clock = SlotClock(maximum: PathMemo.entryMaximum)
    }

    private static let entryMaximum = 8
    // Longer paths aren't kept.
    private static let textMaximum = 128

    private let state: UnsafeMutablePointer<State>

    init() {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State(entries: .allocate(capacity: PathMemo.entryMaximum)))
    }

    func deallocate() {
        unsafe state.pointee.entries.deallocate()
        unsafe state.deallocate()
    }

    /// What `target` asks for, if its path was read before.
    @inline(__always)
    func find(_ target: UnsafeRawBufferPointer) -> InferencePath? {
        guard let from = target.baseAddress else { return nil }
        // Entries below the count are initialized, and lengths are compared before bytes.
        for index in unsafe 0..<state.pointee.clock.count {
            let entry = unsafe state.pointee.entries + index
            let count = unsafe entry.pointee.count
            guard count <= target.count,
                unsafe count == target.count || target[count] == UInt8(ascii: "?"),
                unsafe ShortBytes.equal(UnsafeRawPointer(entry), from, count: count)
            else { continue }
            unsafe state.pointee.clock.noteFound(index)
            return unsafe entry.pointee.path
        }
        return nil
    }

    /// Keeps what a target without escapes asks for, or doesn't.
    func keep(_ target: UnsafeRawBufferPointer, _ path: InferencePath) {
        let count = unsafe target.firstIndex(of: UInt8(ascii: "?")) ?? target.count
        guard unsafe state.pointee.clock.keepsMissed(), count <= PathMemo.textMaximum,
            let from = target.baseAddress
        else { return }
        let entry = unsafe state.pointee.entries + state.pointee.clock.next()
        unsafe entry.initialize(to: Entry(path: path))
        // The text lies first in its entry and has the room.
        unsafe ShortBytes.copy(from, to: UnsafeMutableRawPointer(entry), count: count)
        unsafe entry.pointee.count = count
    }
}
