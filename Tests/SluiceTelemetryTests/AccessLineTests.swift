import Foundation
import Glibc
import SluiceCore
import SluiceTelemetry
import Testing

/// Owns the text that a record borrows, and formats it.
private struct Exchange {
    var record: AccessRecord
    var model: [UInt8] = []
    var requestID: [UInt8] = []

    init(at nanoseconds: Int64 = 0) {
        record = AccessRecord(start: WallTime(nanoseconds: nanoseconds))
    }

    func line(_ formatter: inout AccessLine) -> String {
        var record = record
        var buffer = ByteBuffer(pool: BufferPool())
        unsafe model.withUnsafeBytes { model in
            unsafe requestID.withUnsafeBytes { requestID in
                unsafe record.model = unsafe model
                unsafe record.requestID = unsafe requestID
                formatter.write(record, into: &buffer)
            }
        }
        return unsafe String(decoding: buffer.bytes, as: UTF8.self)
    }

    func line() -> String {
        var formatter = AccessLine()
        return line(&formatter)
    }
}

/// The `model` that a JSON reader finds in the line.
private func model(in line: String) throws -> String {
    let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    return try #require(object?["model"] as? String)
}

@Suite("Access line")
struct AccessLineTests {
    private func borrowed(_ text: StaticString) -> UnsafeRawBufferPointer {
        // A literal's bytes live as long as the program.
        unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    @Test(
        "Names put together once read like the three of them",
        .tags(.unit),
        arguments: [
            ("iris", "v1", "10.0.0.7:9000"), ("a\"b\\c\n", "é\u{1}", ""), ("", "", ""),
            (String(repeating: "\u{7}", count: 300), String(repeating: "ü", count: 200), "x"),
        ]
    )
    func target(model: String, revision: String, backend: String) {
        func line(_ fill: (inout AccessRecord) -> Void) -> String {
            var record = AccessRecord(start: WallTime(nanoseconds: 0))
            fill(&record)
            var formatter = AccessLine()
            var buffer = ByteBuffer(pool: BufferPool())
            formatter.write(record, into: &buffer)
            return unsafe String(decoding: buffer.bytes, as: UTF8.self)
        }
        let together = Array(
            AccessTarget.text(model: model, revision: revision, backend: backend).utf8
        )
        let one = unsafe together.withUnsafeBytes { bytes in
            line { unsafe $0.target = bytes }
        }
        let names = [model, revision, backend].map { Array($0.utf8) }
        let three = unsafe names[0].withUnsafeBytes { model in
            unsafe names[1].withUnsafeBytes { revision in
                unsafe names[2].withUnsafeBytes { backend in
                    line {
                        unsafe $0.model = model
                        unsafe $0.revision = revision
                        unsafe $0.backend = backend
                    }
                }
            }
        }
        #expect(one == three)
    }

    @Test("Numbers of every length are written as they are", .tags(.unit))
    func numbers() {
        var values: [UInt64] = Array(0...1_100)
        var power: UInt64 = 1_000
        for _ in 4...19 {
            values += [power - 1, power, power + 1, 7 * (power / 9) + 50]
            if power < 1_000_000_000_000_000_000 { power *= 10 }
        }
        values.append(.max)
        for value in values {
            var exchange = Exchange()
            exchange.record.requestBytes = value
            exchange.record.responseBytes = value / 3
            let line = exchange.line()
            #expect(line.contains("\"request_bytes\":\(value),\"response_bytes\":\(value / 3),"))
        }
    }

    @Test("A line with everything", .tags(.unit))
    func everything() {
        var record = AccessRecord(start: WallTime(nanoseconds: 1_795_234_500_123_456_789))
        record.duration = 12_345_678
        record.firstByte = 12_000_999
        record.backendTime = 0
        unsafe record.method = unsafe borrowed("POST")
        unsafe record.path = unsafe borrowed("/inference.GRPCInferenceService/ModelInfer")
        record.interface = .grpc
        record.http = .http2
        unsafe record.model = unsafe borrowed("iris")
        unsafe record.revision = unsafe borrowed("v1")
        unsafe record.backend = unsafe borrowed("127.0.0.1:9001")
        record.status = 200
        record.grpcStatus = 14
        record.requestBytes = .max
        record.responseBytes = 10_000
        record.attempts = 2
        unsafe record.requestID = unsafe borrowed("r-1")
        record.trace =
            TraceContext(parsing: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")?.trace
            ?? .none
        unsafe record.client = unsafe borrowed("[::1]:54321")
        record.tls = .tls13
        record.reason = .noHealthyBackend
        var buffer = ByteBuffer(pool: BufferPool())
        var formatter = AccessLine()
        formatter.write(record, into: &buffer)
        unsafe #expect(
            String(decoding: buffer.bytes, as: UTF8.self) == """
                {"time":"2026-11-21T04:15:00.123456Z","duration_us":12345,"first_byte_us":12000,\
                "backend_us":0,"method":"POST","path":"/inference.GRPCInferenceService/ModelInfer",\
                "protocol":"grpc","http":"2","model":"iris","revision":"v1",\
                "backend":"127.0.0.1:9001","status":200,"grpc_status":"UNAVAILABLE",\
                "request_bytes":18446744073709551615,"response_bytes":10000,"attempts":2,\
                "request_id":"r-1","trace_id":"0af7651916cd43dd8448eb211c80319c",\
                "client":"[::1]:54321","tls":"1.3","why":"no_healthy_backend"}

                """
        )
    }

    @Test("What is absent leaves its key out", .tags(.unit))
    func sparse() {
        var exchange = Exchange()
        exchange.record.duration = -5
        #expect(
            exchange.line() == """
                {"time":"1970-01-01T00:00:00.000000Z","duration_us":0,"protocol":"other",\
                "http":"1.1","status":0,"request_bytes":0,"response_bytes":0,"attempts":0}

                """
        )
    }

    @Test("Every reason has a name of its own in snake case", .tags(.unit))
    func reasons() throws {
        let names = Reason.allCases.map(\.name.description)
        #expect(Set(names).count == names.count)
        for (reason, name) in zip(Reason.allCases, names) {
            #expect(name.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7A) || $0 == 0x5F })
            var exchange = Exchange()
            exchange.record.reason = reason
            #expect(exchange.line().contains("\"why\":\"\(name)\"") == (reason != .ok))
        }
    }

    // MARK: - Text from strangers

    @Test(
        "Text is escaped (RFC 8259 §7; Unicode, table 3-7)",
        .tags(.conformance),
        arguments: [
            ("plain", Array("plain".utf8), "plain"),
            ("quotes", Array(#"a"b\c/d"#.utf8), #"a\"b\\c/d"#),
            (
                "controls", [0x00, 0x09, 0x0A, 0x0D, 0x1B, 0x1F, 0x7F],
                "\\u0000\\t\\n\\r\\u001b\\u001f\u{7F}"
            ),
            ("characters", Array("é€😀".utf8), "é€😀"),
            ("lone continuation", [0x61, 0x80, 0x62], #"a\ufffdb"#),
            ("overlong", [0xC0, 0xAF], #"\ufffd\ufffd"#),
            ("overlong of three", [0xE0, 0x80, 0xAF], #"\ufffd\ufffd\ufffd"#),
            ("surrogate", [0xED, 0xA0, 0x80], #"\ufffd\ufffd\ufffd"#),
            ("above the last", [0xF4, 0x90, 0x80, 0x80], #"\ufffd\ufffd\ufffd\ufffd"#),
            ("never a byte", [0xF8, 0xFF], #"\ufffd\ufffd"#),
            ("cut short", [0x61, 0xE2, 0x82], #"a\ufffd\ufffd"#),
            ("wrong third", [0xE2, 0x82, 0x41], #"\ufffd\ufffdA"#),
        ] as [(String, [UInt8], String)]
    )
    func escapes(name: String, bytes: [UInt8], expected: String) {
        // At every distance from the eight bytes that are looked at together.
        for padding in 0..<17 {
            var exchange = Exchange()
            let before = String(repeating: "x", count: padding)
            exchange.model = Array(before.utf8) + bytes + Array("yyyyyyyyy".utf8)
            #expect(exchange.line().contains("\"model\":\"\(before)\(expected)yyyyyyyyy\""))
        }
    }

    @Test("Text is cut at 256 bytes, between characters", .tags(.unit))
    func cut() throws {
        func logged(_ text: [UInt8]) throws -> String {
            var exchange = Exchange()
            exchange.model = text
            return try model(in: exchange.line())
        }
        let letters = String(repeating: "a", count: 253)
        #expect(try logged(Array((letters + "bcd").utf8)) == letters + "bcd")
        #expect(try logged(Array((letters + "bcde").utf8)) == letters + "bcd")
        #expect(try logged(Array((letters + "😀").utf8)) == letters)
        #expect(try logged(Array((letters + "b€").utf8)) == letters + "b")
        #expect(try logged(Array((letters + "€€").utf8)) == letters + "€")
        // A stray byte beyond the cut takes nothing with it.
        #expect(try logged(Array((letters + "bcd").utf8) + [0x80]) == letters + "bcd")
        #expect(try logged(Array((letters + "bé").utf8) + [0x80]) == letters + "bé")
        let continuations = [UInt8](repeating: 0x80, count: 10_000)
        #expect(try logged(continuations) == String(repeating: "\u{FFFD}", count: 256))
        #expect(AccessLine.bytesMaximum > 7 * 256 * 6)
    }

    @Test(
        "Whatever bytes come in, one line of JSON goes out",
        .tags(.property),
        arguments: 0..<40 as Range<UInt64>
    )
    func anyBytes(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        for _ in 0..<25 {
            var exchange = Exchange(at: Int64(bitPattern: random.next()))
            // Mostly from the few bytes where something happens.
            let edges: [UInt8] = [
                0, 10, 31, 32, 34, 92, 97, 127, 128, 191, 194, 224, 237, 240, 244, 255,
            ]
            exchange.model = (0..<1 + random.next(below: 300)).map { _ in
                edges[random.next(below: edges.count)]
            }
            let line = exchange.line()
            #expect(line.utf8.filter { $0 == 10 }.count == 1 && line.utf8.last == 10)
            // We replace each byte that can't be read, Swift replaces runs of them.
            let kept = try model(in: line).unicodeScalars.filter { $0 != "\u{FFFD}" }
            let expected = String(decoding: exchange.model.prefix(256), as: UTF8.self)
                .unicodeScalars.filter { $0 != "\u{FFFD}" }
            #expect(Array(kept) == Array(expected))
        }
    }

    // MARK: - Time

    @Test(
        "Dates are those of the calendar",
        .tags(.conformance),
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1_000, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (946_684_799_999_999_999, "1999-12-31T23:59:59.999999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
            (1_795_234_500_000_001_000, "2026-11-21T04:15:00.000001Z"),
        ] as [(Int64, String)]
    )
    func dates(nanoseconds: Int64, expected: String) {
        #expect(Exchange(at: nanoseconds).line().contains("\"time\":\"\(expected)\""))
    }

    @Test("The date agrees with gmtime", .tags(.property), arguments: 0..<20 as Range<UInt64>)
    func agreesWithLibrary(seed: UInt64) {
        var random = RandomSource(seed: seed)
        // One formatter, so that what it remembers of a second must not leak into another.
        var formatter = AccessLine()
        for _ in 0..<200 {
            let second = Int64(random.next(below: 18_000_000_000)) - 9_000_000_000
            var input = time_t(second)
            var parts = unsafe tm()
            unsafe gmtime_r(&input, &parts)
            let expected = unsafe String(
                format: "%04d-%02d-%02dT%02d:%02d:%02d.000007Z",
                parts.tm_year + 1_900,
                parts.tm_mon + 1,
                parts.tm_mday,
                parts.tm_hour,
                parts.tm_min,
                parts.tm_sec
            )
            for _ in 0..<2 {
                let line = Exchange(at: second * 1_000_000_000 + 7_000).line(&formatter)
                #expect(line.contains("\"time\":\"\(expected)\""))
            }
        }
    }
}
