import SluiceCore
import SluiceGRPC
import SluiceTelemetry

/// `grpc-timeout`: the header's value; the first eight bytes are also nanoseconds to be written.
enum TimeoutSurface {
    private static let units: [Character: Int64] = [
        "n": 1, "u": 1_000, "m": 1_000_000, "S": 1_000_000_000, "M": 60_000_000_000,
        "H": 3_600_000_000_000,
    ]

    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        let found = unsafe GRPCTimeout.parse(bytes)
        let text = unsafe String(decoding: bytes, as: UTF8.self)
        try expect(found == reference(text), "\(text) is \(String(describing: found))")
        var nanoseconds: Int64 = 0
        for index in 0..<min(8, bytes.count) {
            nanoseconds = unsafe nanoseconds << 8 | Int64(bytes[index])
        }
        try written(nanoseconds)
    }

    /// By the grammar: one to eight digits and a unit.
    private static func reference(_ text: String) -> Duration? {
        guard let last = text.last, let unit = units[last] else { return nil }
        let digits = text.dropLast()
        guard (1...8).contains(digits.utf8.count), digits.utf8.allSatisfy({ 48...57 ~= $0 }),
            let number = Int64(digits)
        else { return nil }
        let (high, low) = number.multipliedFullWidth(by: unit)
        return .nanoseconds(high != 0 || low > UInt64(Int64.max) ? .max : Int64(low))
    }

    /// What is written is read as no more than was meant, and as little less as eight digits allow.
    private static func written(_ nanoseconds: Int64) throws(Finding) {
        var place = (UInt64.zero, UInt64.zero)
        let found = unsafe withUnsafeMutableBytes(of: &place) { place -> (Int, Duration?) in
            guard let start = place.baseAddress else { return (0, nil) }
            let count = unsafe GRPCTimeout.write(
                nanoseconds: nanoseconds,
                to: start.assumingMemoryBound(to: UInt8.self)
            )
            return unsafe (
                count, GRPCTimeout.parse(UnsafeRawBufferPointer(start: start, count: count))
            )
        }
        let meant = max(0, nanoseconds)
        guard let read = found.1, found.0 <= 9 else {
            throw Finding("\(nanoseconds) is written as nothing readable")
        }
        // The unit is the finest that fits, and the next is at most a thousand times it.
        let gap = Duration.nanoseconds(meant) - read
        try expect(
            gap >= .zero && gap <= .nanoseconds(meant / 99_999),
            "\(nanoseconds) is written as \(read)"
        )
    }
}

/// `traceparent`: the header's value.
enum TraceparentSurface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        let found = unsafe TraceContext(bytes)
        let text = unsafe String(decoding: bytes, as: UTF8.self)
        try expect((found != nil) == isGood(text), "\(text): \(String(describing: found))")
        guard let found else { return }
        var place = [UInt8](repeating: 0, count: TraceContext.textBytes)
        unsafe place.withUnsafeMutableBufferPointer { place in
            if let start = place.baseAddress { unsafe found.write(to: start) }
        }
        let again = unsafe place.withUnsafeBytes { unsafe TraceContext($0) }
        try expect(again == found, "\(found) was written as \(place)")
        // Trace and parent are passed on as they came, digit for digit.
        try unsafe expect(
            place[2..<52].elementsEqual(bytes[2..<52]),
            "\(text) was passed on as \(String(decoding: place, as: UTF8.self))"
        )
        var random = RandomSource(seed: 1)
        let child = found.child(random: &random)
        try expect(child.trace == found.trace && child.parent != 0, "a child elsewhere: \(child)")
    }

    /// W3C Trace Context §3.2.2, §3.2.4 and §4.3, by fields.
    private static func isGood(_ text: String) -> Bool {
        let fields = text.split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count >= 4, zip(fields, [2, 32, 16, 2]).allSatisfy({ isHex($0, $1) }),
            fields[0] != "ff", fields[1].contains(where: { $0 != "0" }),
            fields[2].contains(where: { $0 != "0" })
        else { return false }
        return fields.count == 4 || fields[0] != "00"
    }

    private static func isHex(_ text: Substring, _ count: Int) -> Bool {
        text.utf8.count == count && text.utf8.allSatisfy { 48...57 ~= $0 || 97...102 ~= $0 }
    }
}
