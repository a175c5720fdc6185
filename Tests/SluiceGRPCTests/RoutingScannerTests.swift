import SluiceCore
import SluiceGRPC
import SluiceWire
import Testing

@Suite("Routing scanner")
struct RoutingScannerTests {
    /// What a scanner says of a body fed in pieces: the last outcome, and the name.
    static func scan(
        _ body: [UInt8],
        cuts: [Int],
        limit: Int = 1 << 20,
        isStreaming: Bool = false
    ) -> (RoutingScanner.Outcome, String, Bool) {
        var scanner = RoutingScanner(nameField: 1, messageMaximum: limit, isStreaming: isStreaming)
        var name = [UInt8](repeating: 0, count: RoutingScanner.nameMaximum)
        var outcome = RoutingScanner.Outcome.needMore
        var start = 0
        for end in cuts + [body.count] {
            let fragment = Array(body[start..<end])
            outcome = unsafe fragment.withUnsafeBytes { bytes in
                unsafe name.withUnsafeMutableBufferPointer { place in
                    unsafe scanner.scan(bytes, name: place.baseAddress.unsafelyUnwrapped)
                }
            }
            if case .failed = outcome { break }
            start = end
        }
        return (
            outcome, String(decoding: name.prefix(scanner.nameCount), as: UTF8.self),
            scanner.isComplete
        )
    }

    static func request(_ name: String, tail: Int = 20) -> [UInt8] {
        var writer = WireWriter()
        writer.string(field: 1, name)
        writer.string(field: 3, "42")
        writer.varint(field: 9, 1 << 40)
        writer.fixed32(field: 10, 7)
        writer.fixed64(field: 11, 7)
        writer.bytes(field: 7, [UInt8](repeating: 9, count: tail))
        return GRPCFrame.frame(writer.bytes)
    }

    @Test("The name is found at every cut of the bytes")
    func everyCut() {
        let body = Self.request("iris")
        for cut in 0...body.count {
            let (outcome, name, isComplete) = Self.scan(body, cuts: [cut])
            #expect(outcome == .routed && name == "iris" && isComplete, "cut at \(cut)")
        }
        let (outcome, name, _) = Self.scan(body, cuts: Array(0..<body.count))
        #expect(outcome == .routed && name == "iris")
    }

    @Test("A compressed message's end is found at every cut, and its bytes name nothing")
    func compressed() {
        let message: [UInt8] = [1, 0, 0, 0, 4, 0x0A, 0x02, 0x41, 0x42]
        for cut in 0...message.count {
            let (outcome, name, isComplete) = Self.scan(message, cuts: [cut])
            #expect(outcome == .needMore && name.isEmpty && isComplete, "cut at \(cut)")
        }
        for count in 1..<message.count {
            #expect(!Self.scan(Array(message.prefix(count)), cuts: []).2, "\(count) bytes")
        }
        #expect(Self.scan(message + message, cuts: []).0 == .failed(.secondMessage))
        for cut in 0...message.count {
            let stream = Self.scan(message + message, cuts: [cut], isStreaming: true)
            #expect(stream.0 == .needMore && stream.2, "a stream, cut at \(cut)")
        }
        #expect(Self.scan([1, 0, 0, 0, 0], cuts: []).2)
        #expect(Self.scan(message, cuts: [], limit: 3).0 == .failed(.tooLarge))
    }

    @Test("It agrees with a full decoding on random messages", arguments: 0..<300 as Range<UInt64>)
    func agrees(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var writer = WireWriter()
        var names: [String] = []
        for _ in 0..<random.next(below: 8) {
            let field = random.next(below: 12) + 1
            switch random.next(below: 4) {
            case 0: writer.varint(field: field, random.next())
            case 1: writer.fixed32(field: field, 1)
            case 2: writer.fixed64(field: field, 1)
            default:
                let text = String(repeating: "n", count: random.next(below: 300))
                writer.string(field: field, text)
                if field == 1 { names.append(text) }
            }
        }
        let body = GRPCFrame.frame(writer.bytes)
        let cut = random.next(below: body.count + 1)
        let (outcome, name, isComplete) = Self.scan(body, cuts: [cut])
        if let long = names.firstIndex(where: { $0.utf8.count > RoutingScanner.nameMaximum }),
            long == 0
        {
            #expect(outcome == .failed(.nameTooLong))
        } else if names.count > 1 {
            #expect(outcome == .failed(.duplicateName))
        } else {
            #expect(outcome == .routed && name == names.first ?? "" && isComplete)
        }
    }

    @Test(
        "What can't be passed on is named",
        arguments: [
            ([2, 0, 0, 0, 0], .malformed), ([0, 0, 0, 0, 1, 0x0B], .malformed),
            ([0, 0, 0, 0, 2, 0x0A, 5], .malformed), ([0, 0, 0, 0, 1, 0x80], .malformed),
            ([0, 0, 0, 0, 2, 0x00, 0x00], .malformed), ([0, 0, 16, 0, 1], .tooLarge),
            ([0, 0, 0, 0, 6, 0x0A, 1, 97, 0x0A, 1, 98], .duplicateName),
            ([0, 0, 0, 0, 0, 0], .secondMessage),
        ] as [([UInt8], RoutingScanner.Failure)]
    )
    func failures(body: [UInt8], expected: RoutingScanner.Failure) {
        #expect(Self.scan(body, cuts: []).0 == .failed(expected))
    }

    @Test("A cut body is not complete")
    func truncated() {
        let body = Self.request("iris")
        for end in 0..<body.count {
            #expect(!Self.scan(Array(body[..<end]), cuts: []).2, "\(end) bytes")
        }
    }

    @Test("On a stream the first message routes and later ones pass unseen")
    func streams() {
        let body = Self.request("iris") + Self.request("other") + [1, 2, 3]
        let (outcome, name, _) = Self.scan(body, cuts: [3, 40], isStreaming: true)
        #expect(outcome == .routed && name == "iris")
    }

    @Test("Random bytes never crash it", arguments: 0..<2000 as Range<UInt64>)
    func noise(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var body = Self.request("iris")
        for _ in 0..<(1 + random.next(below: 4)) {
            body[random.next(below: body.count)] = UInt8(truncatingIfNeeded: random.next())
        }
        let cut = random.next(below: body.count)
        let whole = Self.scan(body, cuts: [])
        let parts = Self.scan(body, cuts: [cut])
        #expect(whole.0 == parts.0)
    }

    @Test(
        "Another name takes the place of the first, and nothing else changes",
        arguments: ["", "i", "iris", String(repeating: "x", count: 200)],
        [0, 20, 300]
    )
    func rename(name: String, tail: Int) throws {
        let old = Self.request("rose", tail: tail)
        // As much as is there when the name is known, or more.
        let beginning = 5 + 2 + "rose".utf8.count
        for end in beginning...old.count {
            let renamed = unsafe old[..<end].withUnsafeBytes {
                unsafe ModelRename.replace(in: $0, field: 1, with: name)
            }
            #expect(try #require(renamed) + old[end...] == Self.request(name, tail: tail))
        }
        for end in 0..<beginning {
            let renamed = unsafe old[..<end].withUnsafeBytes {
                unsafe ModelRename.replace(in: $0, field: 1, with: name)
            }
            #expect(renamed == nil)
        }
    }

    @Test("A name behind other fields is found")
    func renameLater() throws {
        func request(_ name: String) -> [UInt8] {
            var writer = WireWriter()
            writer.varint(field: 9, 7)
            writer.bytes(field: 7, [1, 2, 3])
            writer.string(field: 1, name)
            writer.string(field: 3, "42")
            return GRPCFrame.frame(writer.bytes)
        }
        let renamed = unsafe request("rose").withUnsafeBytes {
            unsafe ModelRename.replace(in: $0, field: 1, with: "a-longer-name")
        }
        #expect(renamed == request("a-longer-name"))
    }
}
