import SluiceCore

/// What a session remembers of one open stream; lives in the arena's slab.
@safe
@usableFromInline
struct HTTP2StreamRecord: BitwiseCopyable {
    var id: UInt32
    var isLocalClosed = false
    var isRemoteClosed = false
    /// Whether the message's head has been delivered, so that a further one is trailers.
    var hasHead = false
    /// Whether the record stands in the session's queue of streams ready to send.
    var isQueued = false
    /// Whether END_STREAM goes out with the last pending byte.
    var endsAfterPending = false
    /// Whether the request was HEAD, whose response has no content (RFC 9110 §9.3.2).
    var isHead = false
    /// Whether the request waits for a 100 (Continue) before it sends its body.
    var expectsContinue = false
    /// Why we reset the stream, if it was for its peer's mistake.
    var fault = HTTP2StreamFault.none
    /// Interim responses seen so far.
    var interimCount: UInt8 = 0
    var sendWindow: Int
    var receiveWindow: Int
    /// The window we keep open for the peer.
    var receiveTarget: Int
    /// Bytes the owner has passed on but the peer hasn't been told of.
    var uncredited = 0
    /// Bytes delivered to the owner that it hasn't passed on yet.
    var unconsumed = 0
    /// Body bytes `content-length` still promises; -1 when it said nothing.
    var expectedBody: Int = -1
    /// Body that waits for window or room.
    var pending = PooledBytes()
    /// How many sweeps have found the pending body waiting for window, none of it sent.
    var stalledSweeps: UInt8 = 0
    /// Trailers that wait for the pending body.
    var trailers: FieldBlock?
    @usableFromInline var context: UnsafeMutableRawPointer?
    /// Why the stream was lost, while its ``HTTP2Event/reset(_:_:)`` waits to be told.
    var untoldReset: HTTP2ErrorCode?
    /// The next record in whichever list this one stands in.
    var next: UnsafeMutablePointer<HTTP2StreamRecord>?
    /// The record before this one in the queue of those ready to send.
    var previous: UnsafeMutablePointer<HTTP2StreamRecord>?
}

/// A handle to one stream of an `HTTP2Session`.
///
/// It is dead once both sides have ended or either has reset it; the session keeps the memory
/// until its next `HTTP2Session.reap()`, so that a handler may finish what it is doing.
@safe
public struct HTTP2Stream: BitwiseCopyable, Equatable {
    @usableFromInline let record: UnsafeMutablePointer<HTTP2StreamRecord>

    init(_ record: UnsafeMutablePointer<HTTP2StreamRecord>) { unsafe self.record = record }

    /// The stream identifier (RFC 9113 §5.1.1).
    package var id: UInt32 { unsafe record.pointee.id }

    /// A word for the stream's owner.
    @inlinable
    public var context: UnsafeMutableRawPointer? {
        get { unsafe record.pointee.context }
        nonmutating set { unsafe record.pointee.context = newValue }
    }

    /// Whether the request waits for a 100 (Continue) before it sends its body; kept by its owner.
    package var expectsContinue: Bool {
        get { unsafe record.pointee.expectsContinue }
        nonmutating set { unsafe record.pointee.expectsContinue = newValue }
    }

    /// Which rule the peer broke, where the stream was reset from our side for that.
    package var fault: HTTP2StreamFault { unsafe record.pointee.fault }

    /// Body bytes that wait in the session for window or room.
    package var pendingCount: Int { unsafe record.pointee.pending.count }

    /// Body bytes that were delivered and haven't been passed on.
    package var unconsumedByteCount: Int { unsafe record.pointee.unconsumed }

    /// Whether the peer has ended its side.
    package var isRemoteClosed: Bool { unsafe record.pointee.isRemoteClosed }

    /// Whether we have ended our side.
    package var isLocalClosed: Bool { unsafe record.pointee.isLocalClosed }

    @inlinable
    public static func == (left: HTTP2Stream, right: HTTP2Stream) -> Bool {
        unsafe left.record == right.record
    }
}

/// The open streams of one connection by identifier: open addressing, linear probing.
///
/// Identifiers of one side count up by two, so `id / 2` modulo a power of two barely collides.
@safe
struct StreamTable: ~Copyable {
    private(set) var count = 0
    private var slots: UnsafeMutablePointer<UnsafeMutablePointer<HTTP2StreamRecord>?>
    private var capacity = 16

    init() {
        unsafe slots = .allocate(capacity: 16)
        unsafe slots.initialize(repeating: nil, count: 16)
    }

    deinit { unsafe slots.deallocate() }

    func find(_ id: UInt32) -> HTTP2Stream? {
        var index = home(of: id)
        while let record = unsafe slots[index] {
            if unsafe record.pointee.id == id { return unsafe HTTP2Stream(record) }
            index = (index + 1) & (capacity - 1)
        }
        return nil
    }

    mutating func insert(_ stream: HTTP2Stream) {
        if (count + 1) * 2 > capacity { grow() }
        place(stream)
        count += 1
    }

    mutating func remove(_ id: UInt32) {
        var hole = home(of: id)
        while let record = unsafe slots[hole], unsafe record.pointee.id != id {
            hole = (hole + 1) & (capacity - 1)
        }
        guard unsafe slots[hole] != nil else { return }
        unsafe slots[hole] = nil
        count -= 1
        // Entries behind the hole move up unless the hole lies before their home.
        var index = (hole + 1) & (capacity - 1)
        while let record = unsafe slots[index] {
            let home = unsafe home(of: record.pointee.id)
            if (index &- home) & (capacity - 1) >= (index &- hole) & (capacity - 1) {
                unsafe slots[hole] = record
                unsafe slots[index] = nil
                hole = index
            }
            index = (index + 1) & (capacity - 1)
        }
    }

    /// Every open stream in order of opening, for the rare walk over all of them.
    var all: [HTTP2Stream] {
        (0..<capacity).compactMap { unsafe slots[$0].map { unsafe HTTP2Stream($0) } }
            .sorted { $0.id < $1.id }
    }

    /// Fibonacci hashing: neighbours lie far apart, so that removing one rarely finds another
    /// behind it.
    private func home(of id: UInt32) -> Int {
        Int(truncatingIfNeeded: ((id >> 1) &* 0x9E37_79B1) >> 16) & (capacity - 1)
    }

    private mutating func place(_ stream: HTTP2Stream) {
        var index = home(of: stream.id)
        while unsafe slots[index] != nil { index = (index + 1) & (capacity - 1) }
        unsafe slots[index] = stream.record
    }

    private mutating func grow() {
        let (old, oldCapacity) = unsafe (slots, capacity)
        capacity *= 2
        unsafe slots = .allocate(capacity: capacity)
        unsafe slots.initialize(repeating: nil, count: capacity)
        for index in 0..<oldCapacity {
            if let record = unsafe old[index] { unsafe place(HTTP2Stream(record)) }
        }
        unsafe old.deallocate()
    }
}
