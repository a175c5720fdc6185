import SluiceCore

/// The `grpc-timeout` header (gRPC over HTTP/2, "Timeout"): up to eight digits and a unit.
package enum GRPCTimeout {
    private static let units: [(UInt8, Int64)] = [
        (UInt8(ascii: "n"), 1), (UInt8(ascii: "u"), 1_000), (UInt8(ascii: "m"), 1_000_000),
        (UInt8(ascii: "S"), 1_000_000_000), (UInt8(ascii: "M"), 60_000_000_000),
        (UInt8(ascii: "H"), 3_600_000_000_000),
    ]

    /// Reads a header's value; nil when it breaks the grammar.
    package static func parse(_ text: UnsafeRawBufferPointer) -> Duration? {
        guard text.count >= 2, text.count <= 9 else { return nil }
        let last = text.count - 1
        guard let number = unsafe ASCII.decimal(UnsafeRawBufferPointer(rebasing: text[..<last])),
            let unit = units.first(where: { unsafe $0.0 == text[last] })
        else { return nil }
        // 99,999,999 hours are more than 64 bits of nanoseconds hold.
        let (product, overflow) = Int64(number).multipliedReportingOverflow(by: unit.1)
        return .nanoseconds(overflow ? .max : product)
    }

    /// Writes so many nanoseconds to `place` (nine bytes) in the finest unit that fits, rounding down so that
    /// nobody downstream waits longer than we do; returns the length.
    package static func write(nanoseconds duration: Int64, to place: UnsafeMutablePointer<UInt8>) -> Int {
        let nanoseconds = max(0, duration)
        for (letter, size) in units where nanoseconds / size <= 99_999_999 {
            var rest = nanoseconds / size
            var digits = 1
            var power: Int64 = 10
            while power <= rest {
                digits += 1
                power *= 10
            }
            for index in (0..<digits).reversed() {
                unsafe place[index] = ASCII.zero + UInt8(rest % 10)
                rest /= 10
            }
            unsafe place[digits] = letter
            return digits + 1
        }
        return 0
    }
}
