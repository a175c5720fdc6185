/// The frame types of RFC 9113 §6.
enum HTTP2FrameType {
    static let data: UInt8 = 0
    static let headers: UInt8 = 1
    static let priority: UInt8 = 2
    static let resetStream: UInt8 = 3
    static let settings: UInt8 = 4
    static let pushPromise: UInt8 = 5
    static let ping: UInt8 = 6
    static let goAway: UInt8 = 7
    static let windowUpdate: UInt8 = 8
    static let continuation: UInt8 = 9
}

/// The frame flags of RFC 9113 §6.
enum HTTP2Flag {
    static let endStream: UInt8 = 0x1
    static let acknowledge: UInt8 = 0x1
    static let endHeaders: UInt8 = 0x4
    static let padded: UInt8 = 0x8
    static let priority: UInt8 = 0x20
}

/// The nine octets before each frame's payload (RFC 9113 §4.1).
///
///     +-----------------------------------------------+
///     |                 Length (24)                   |
///     +---------------+---------------+---------------+
///     |   Type (8)    |   Flags (8)   |
///     +-+-------------+---------------+-------------------------------+
///     |R|                 Stream Identifier (31)                      |
///     +-+-------------------------------------------------------------+
struct HTTP2FrameHeader: BitwiseCopyable {
    static let size = 9

    var length: Int
    var type: UInt8
    var flags: UInt8
    var streamID: UInt32

    /// A header to be written.
    init(length: Int, type: UInt8, flags: UInt8, streamID: UInt32) {
        self.length = length
        self.type = type
        self.flags = flags
        self.streamID = streamID
    }

    /// Reads nine octets at `bytes`; the reserved bit is ignored.
    @inline(__always)
    init(reading bytes: UnsafeRawPointer) {
        let first = unsafe UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))
        length = Int(first >> 8)
        type = UInt8(truncatingIfNeeded: first)
        flags = unsafe bytes.load(fromByteOffset: 4, as: UInt8.self)
        streamID =
            unsafe UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 5, as: UInt32.self))
            & 0x7FFF_FFFF
    }

    /// Writes nine octets to `place`.
    @inline(__always)
    func write(to place: UnsafeMutablePointer<UInt8>) {
        let raw = UnsafeMutableRawPointer(place)
        unsafe raw.storeBytes(
            of: (UInt32(truncatingIfNeeded: length) << 8 | UInt32(type)).bigEndian,
            as: UInt32.self
        )
        unsafe raw.storeBytes(of: flags, toByteOffset: 4, as: UInt8.self)
        unsafe raw.storeBytes(of: streamID.bigEndian, toByteOffset: 5, as: UInt32.self)
    }

    func has(_ flag: UInt8) -> Bool { flags & flag != 0 }
}

/// What one side tells the other about itself (RFC 9113 §6.5.2).
package struct HTTP2Settings: BitwiseCopyable, Sendable {
    /// Bytes of HPACK dynamic table the decoder offers.
    package var headerTableSize = 4096
    /// Streams the peer may have open at once.
    package var maxConcurrentStreams = 256
    /// Bytes of body the peer may send on a new stream before it hears more.
    package var initialWindowSize = 256 << 10
    /// Bytes of payload in one frame, at most.
    package var maxFrameSize = 16 << 10
    /// Bytes of fields in one message, names and values, plus 32 for each field (RFC 9113 §6.5.2).
    package var maxHeaderListSize = 64 << 10

    /// Our defaults.
    package init() {}

    /// What a peer is taken to want before its SETTINGS arrive; 100 streams by our own choice, as
    /// gRPC clients assume (RFC 9113 leaves it unlimited).
    static var assumedOfPeer: HTTP2Settings {
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = 100
        settings.initialWindowSize = 65_535
        settings.maxHeaderListSize = .max
        return settings
    }
}
