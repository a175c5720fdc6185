package import SluiceCore

/// Writes access records as lines of JSON, one object each.
///
/// Keys come in a fixed order; durations are whole microseconds; strangers' text is escaped and
/// cut at 256 bytes (``JSONText``). A line costs some 125 ns and no allocation. One formatter
/// belongs to one worker, as it remembers the text of the current second.
package struct AccessLine {
    /// The most bytes any line can take.
    package static let bytesMaximum = fixedBytes + 7 * JSONText.bound(.max) + targetBytes

    // Keys and punctuation take 322 bytes, the nine numbers 20 each at most, time, trace id and
    // the closed lists 120.
    private static let fixedBytes = 640
    // Three names and their keys.
    private static let targetBytes = 3 * JSONText.bound(.max) + 64

    private var clock = CivilClock()

    /// A formatter that remembers nothing yet.
    package init() {}

    /// Appends the record's line, line feed included, to `buffer`.
    package mutating func write(_ record: AccessRecord, into buffer: inout ByteBuffer) {
        let bound = AccessLine.bound(record)
        // The buffer owns the memory; nothing else touches it before `commit`.
        var writer = unsafe TextWriter(start: buffer.reserve(bound), capacity: bound)
        write(record, into: &writer)
        buffer.commit(writer.count)
    }

    /// The most bytes the record's line can take.
    static func bound(_ record: AccessRecord) -> Int {
        unsafe fixedBytes + JSONText.bound(record.method.count) + JSONText.bound(record.path.count)
            + JSONText.bound(record.model.count) + JSONText.bound(record.revision.count)
            + JSONText.bound(record.backend.count) + JSONText.bound(record.requestID.count)
            + JSONText.bound(record.client.count) + record.target.count
    }

    /// Writes the record's line, line feed included; `writer` has room for its bound.
    mutating func write(_ record: AccessRecord, into writer: inout TextWriter) {
        writer.literal("{\"time\":\"")
        clock.writeMicroseconds(record.start, into: &writer)
        writer.literal("\",\"duration_us\":")
        microseconds(record.duration, &writer)
        if let firstByte = record.firstByte {
            writer.literal(",\"first_byte_us\":")
            microseconds(firstByte, &writer)
        }
        if let backendTime = record.backendTime {
            writer.literal(",\"backend_us\":")
            microseconds(backendTime, &writer)
        }
        unsafe plain(",\"method\":\"", record.method, &writer)
        unsafe plain(",\"path\":\"", record.path, &writer)
        switch record.interface {
        case .v1: writer.literal(",\"protocol\":\"v1\"")
        case .v2: writer.literal(",\"protocol\":\"v2\"")
        case .grpc: writer.literal(",\"protocol\":\"grpc\"")
        case .other: writer.literal(",\"protocol\":\"other\"")
        }
        switch record.http {
        case .http1: writer.literal(",\"http\":\"1.1\"")
        case .http2: writer.literal(",\"http\":\"2\"")
        }
        if unsafe record.target.count > 0 {
            unsafe writer.bytes(record.target)
        } else {
            AccessLine.writeTarget(record, into: &writer)
        }
        writeOutcome(record, into: &writer)
        if record.isRequestIDPlain {
            unsafe plain(",\"request_id\":\"", record.requestID, &writer)
        } else {
            unsafe AccessLine.text(",\"request_id\":\"", record.requestID, &writer)
        }
        if !record.trace.isNone {
            writer.literal(",\"trace_id\":\"")
            writer.hexadecimal(record.trace.high)
            writer.hexadecimal(record.trace.low)
            writer.byte(ASCII.quote)
        }
        unsafe AccessLine.text(",\"client\":\"", record.client, &writer)
        switch record.tls {
        case .none: break
        case .tls12: writer.literal(",\"tls\":\"1.2\"")
        case .tls13: writer.literal(",\"tls\":\"1.3\"")
        }
        if record.reason != .ok {
            writer.literal(",\"why\":\"")
            writer.literal(record.reason.name)
            writer.byte(ASCII.quote)
        }
        writer.literal("}\n")
    }

    /// Writes who was asked.
    static func writeTarget(_ record: AccessRecord, into writer: inout TextWriter) {
        unsafe text(",\"model\":\"", record.model, &writer)
        unsafe text(",\"revision\":\"", record.revision, &writer)
        unsafe text(",\"backend\":\"", record.backend, &writer)
    }

    @inline(__always)
    private func writeOutcome(_ record: AccessRecord, into writer: inout TextWriter) {
        writer.literal(",\"status\":")
        writer.decimal(UInt64(record.status))
        if let code = record.grpcStatus {
            writer.literal(",\"grpc_status\":\"")
            writer.literal(GRPCStatusName.of(Int(code)))
            writer.byte(ASCII.quote)
        }
        writer.literal(",\"request_bytes\":")
        writer.decimal(record.requestBytes)
        writer.literal(",\"response_bytes\":")
        writer.decimal(record.responseBytes)
        writer.literal(",\"attempts\":")
        writer.decimal(UInt64(record.attempts))
    }

    /// Writes nanoseconds as whole microseconds; a clock that went back shows as zero.
    @inline(__always)
    private func microseconds(_ nanoseconds: Int64, _ writer: inout TextWriter) {
        writer.decimal(UInt64(max(nanoseconds, 0)) / 1_000)
    }

    @inline(__always)
    private func plain(
        _ opening: StaticString,
        _ value: UnsafeRawBufferPointer,
        _ writer: inout TextWriter
    ) {
        guard value.count > 0 else { return }
        writer.literal(opening)
        unsafe writer.bytes(value)
        writer.byte(ASCII.quote)
    }

    @inline(__always)
    private static func text(
        _ opening: StaticString,
        _ value: UnsafeRawBufferPointer,
        _ writer: inout TextWriter
    ) {
        guard value.count > 0 else { return }
        writer.literal(opening)
        unsafe JSONText.write(value, into: &writer)
        writer.byte(ASCII.quote)
    }
}
