import SluiceCore
import SluiceTelemetry
import Testing

extension TraceContext {
    /// Reads a `traceparent` from text.
    init?(parsing text: String) {
        let parsed = unsafe Array(text.utf8).withUnsafeBytes { unsafe TraceContext($0) }
        guard let parsed else { return nil }
        self = parsed
    }

    /// The `traceparent` text.
    var text: String {
        unsafe String(unsafeUninitializedCapacity: TraceContext.textBytes) { memory in
            guard let start = memory.baseAddress else { return 0 }
            unsafe write(to: start)
            return TraceContext.textBytes
        }
    }
}

extension TraceID {
    /// The 32 digits.
    var text: String {
        unsafe String(unsafeUninitializedCapacity: TraceID.textBytes) { memory in
            guard let start = memory.baseAddress else { return 0 }
            unsafe write(to: start)
            return TraceID.textBytes
        }
    }
}

@Suite("Trace context")
struct TraceContextTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let parent = "b7ad6b7169203331"

    @Test(
        "A traceparent is read (W3C Trace Context §3.2)",
        .tags(.conformance),
        arguments: [
            ("§3.2.2.5 sampled", "00-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-01"),
            ("not sampled", "00-\(trace)-\(parent)-00", "00-\(trace)-\(parent)-00"),
            ("unknown flags are dropped", "00-\(trace)-\(parent)-ff", "00-\(trace)-\(parent)-03"),
            ("§3.2.4 higher version", "01-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-01"),
            ("§3.2.4 and more fields", "cc-\(trace)-\(parent)-01-what", "00-\(trace)-\(parent)-01"),
        ]
    )
    func reads(name: String, text: String, written: String) throws {
        let context = try #require(TraceContext(parsing: text))
        #expect(context.text == written)
        #expect(context.trace.text == Self.trace)
        #expect(context.isSampled == !text.hasSuffix("-00"))
    }

    @Test(
        "A malformed traceparent begins a new trace (W3C Trace Context §3.2.2, §4.3)",
        .tags(.conformance),
        arguments: [
            "", "00", "00-\(trace)-\(parent)", "00-\(trace)-\(parent)-0",
            "00-\(trace)-\(parent)-01-", "00-\(trace)-\(parent)-01-what",
            "ff-\(trace)-\(parent)-01", "cc-\(trace)-\(parent)-01what", "0-\(trace)-\(parent)-011",
            "00-00000000000000000000000000000000-\(parent)-01", "00-\(trace)-0000000000000000-01",
            "00-\(trace.uppercased())-\(parent)-01", "00-\(trace)-\(parent)-0x",
            "00_\(trace)-\(parent)-01", "00-\(trace)_\(parent)-01", "00-\(trace)-\(parent)_01",
            " 00-\(trace)-\(parent)-01", "0G-\(trace)-\(parent)-01",
        ]
    )
    func refuses(text: String) {
        #expect(TraceContext(parsing: text) == nil)
    }

    @Test("A changed byte is refused or changes the text", .tags(.property))
    func everyByteCounts() {
        let text = Array("00-\(Self.trace)-\(Self.parent)-01".utf8)
        for index in 3..<53 {
            var changed = text
            changed[index] = changed[index] == 0x61 ? 0x62 : 0x61
            let context = TraceContext(parsing: String(decoding: changed, as: UTF8.self))
            #expect(context == nil || context?.text == String(decoding: changed, as: UTF8.self))
            changed[index] = 0x67
            #expect(TraceContext(parsing: String(decoding: changed, as: UTF8.self)) == nil)
        }
    }

    @Test(
        "What is written is read back; children are siblings",
        .tags(.property),
        arguments: 0..<64 as Range<UInt64>
    )
    func roundTrip(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let context = TraceContext(sampled: seed % 2 == 0, random: &random)
        #expect(TraceContext(parsing: context.text) == context)
        let (first, second) = (context.child(random: &random), context.child(random: &random))
        #expect(first.trace == context.trace && first.flags == context.flags)
        #expect(Set([context.parent, first.parent, second.parent]).count == 3)
    }

    @Test("A request id is 32 lower-case hexadecimal digits", .tags(.property))
    func requestID() {
        var random = RandomSource(seed: 5)
        var seen: Set<String> = []
        for _ in 0..<1_000 {
            let text = RequestID(random: &random).text
            #expect(text.utf8.allSatisfy { ASCII.hexadecimalValue($0) != nil && $0 != 0x41 })
            #expect(text == text.lowercased() && text.utf8.count == 32)
            #expect(seen.insert(text).inserted)
        }
        #expect(TraceID.none.text == String(repeating: "0", count: 32))
    }
}
