package import SluiceCore

/// 128 random bits, written as 32 lower-case hexadecimal digits: names a trace or a request.
package struct TraceID: Hashable, Sendable, BitwiseCopyable {
    /// The bytes of the text.
    package static let textBytes = 32

    /// The first sixteen digits.
    package let high: UInt64
    /// The last sixteen digits.
    package let low: UInt64

    /// The id that isn't one; log lines leave it out.
    package static var none: TraceID { TraceID(high: 0, low: 0) }

    /// Whether this is an id at all.
    package var isNone: Bool { high | low == 0 }

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Draws an id, never the one that isn't.
    package init(random: inout RandomSource) {
        high = random.next()
        low = random.next() | 1
    }

    /// Writes the 32 digits to `place`, which must have that room.
    package func write(to place: UnsafeMutablePointer<UInt8>) {
        var writer = unsafe TextWriter(start: place, capacity: TraceID.textBytes)
        writer.hexadecimal(high)
        writer.hexadecimal(low)
    }
}

/// The id of a request that came without `x-request-id`: 32 hexadecimal digits.
package typealias RequestID = TraceID
