package import SluiceCore

/// Where a request stands in a distributed trace: the `traceparent` field of W3C Trace Context.
///
/// `00-{trace: 32 hex}-{parent: 16 hex}-{flags: 2 hex}`, 55 bytes. Each hop keeps the trace and
/// puts a parent of its own.
package struct TraceContext: Hashable, Sendable, BitwiseCopyable {
    /// The bytes of a `traceparent` that we write.
    package static let textBytes = 55

    /// Which trace.
    package let trace: TraceID
    /// Which span called; never zero.
    package let parent: UInt64
    /// The flags we know: 1 (sampled) and 2 (the trace id is random, Level 2 §2.2.5).
    package let flags: UInt8

    /// Whether the caller may have recorded its part.
    package var isSampled: Bool { flags & 1 != 0 }

    private init(trace: TraceID, parent: UInt64, flags: UInt8) {
        self.trace = trace
        self.parent = parent
        self.flags = flags
    }

    /// Begins a trace.
    package init(sampled: Bool, random: inout RandomSource) {
        self.init(
            trace: TraceID(random: &random),
            parent: TraceContext.spanID(&random),
            flags: sampled ? 1 : 0
        )
    }

    /// Reads a `traceparent` value.
    ///
    /// Nil when it's malformed or all zero: then begin a new trace and drop `tracestate`. A
    /// version above 00 is read by its first four fields (W3C Trace Context §3.2.4, §4.3).
    package init?(_ text: UnsafeRawBufferPointer) {
        guard text.count >= TraceContext.textBytes,
            unsafe text[2] == ASCII.dash, unsafe text[35] == ASCII.dash,
            unsafe text[52] == ASCII.dash,
            let version = unsafe TraceContext.number(text, 0..<2),
            let high = unsafe TraceContext.number(text, 3..<19),
            let low = unsafe TraceContext.number(text, 19..<35),
            let parent = unsafe TraceContext.number(text, 36..<52),
            let flags = unsafe TraceContext.number(text, 53..<55),
            version != 0xFF, high | low != 0, parent != 0
        else { return nil }
        if text.count > TraceContext.textBytes {
            guard version > 0, unsafe text[TraceContext.textBytes] == ASCII.dash else { return nil }
        }
        self.init(
            trace: TraceID(high: high, low: low),
            parent: parent,
            flags: UInt8(truncatingIfNeeded: flags) & 3
        )
    }

    /// The same trace with a parent of our own, for one call to a backend.
    ///
    /// A retry is a call of its own: siblings have different parents.
    package func child(random: inout RandomSource) -> TraceContext {
        TraceContext(trace: trace, parent: TraceContext.spanID(&random), flags: flags)
    }

    /// Writes the 55 bytes of a version 00 `traceparent` to `place`, which must have that room.
    package func write(to place: UnsafeMutablePointer<UInt8>) {
        var writer = unsafe TextWriter(start: place, capacity: TraceContext.textBytes)
        writer.literal("00-")
        writer.hexadecimal(trace.high)
        writer.hexadecimal(trace.low)
        writer.byte(ASCII.dash)
        writer.hexadecimal(parent)
        writer.literal("-0")
        writer.byte(ASCII.zero + flags)
    }

    private static func number(
        _ text: UnsafeRawBufferPointer,
        _ range: Range<Int>
    ) -> UInt64? {
        unsafe Hexadecimal.number(UnsafeRawBufferPointer(rebasing: text[range]))
    }

    private static func spanID(_ random: inout RandomSource) -> UInt64 {
        while true {
            let drawn = random.next()
            if drawn != 0 { return drawn }
        }
    }
}
