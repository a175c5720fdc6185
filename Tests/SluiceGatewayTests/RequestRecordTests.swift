import SluiceCore
import SluiceGRPC
import Testing

@testable import SluiceGateway

/// What a request costs in memory is written for each one, so the layout is held here.
@Suite("The request's record")
struct RequestRecordTests {
    static let line = RequestSlot.lineSize

    @Test("The record is four cache lines, all of them used")
    func fourLines() {
        #expect(MemoryLayout<RequestRecord>.size == 4 * Self.line)
        #expect(MemoryLayout<RequestRecord>.stride == 4 * Self.line)
    }

    @Test("Each line begins with its first field, and none straddles")
    func linesBegin() {
        #expect(MemoryLayout<RequestRecord>.offset(of: \.exchange) == 0)
        #expect(MemoryLayout<RequestRecord>.offset(of: \.stage) == Self.line)
        #expect(MemoryLayout<RequestRecord>.offset(of: \.attempt) == 2 * Self.line)
        #expect(MemoryLayout<RequestRecord>.offset(of: \.body) == 3 * Self.line)
        // The last fields of each.
        #expect(MemoryLayout<RequestRecord>.offset(of: \.timer) == Self.line - 8)
        #expect(MemoryLayout<RequestRecord>.offset(of: \.offloadToken) == 2 * Self.line - 8)
        #expect(MemoryLayout<RequestRecord>.offset(of: \.retry) == 2 * Self.line + 58)
        #expect(MemoryLayout<Attempt>.size + MemoryLayout<RetryState>.size <= Self.line)
        #expect(MemoryLayout<RequestBody>.size == Self.line)
    }

    @Test("What is hot of a step lies in that step's line")
    func nouns() {
        let lines = [
            MemoryLayout<RequestRecord>.offset(of: \.head),
            MemoryLayout<RequestRecord>.offset(of: \.started),
            MemoryLayout<RequestRecord>.offset(of: \.flags),
            MemoryLayout<RequestRecord>.offset(of: \.responseBytes),
            MemoryLayout<RequestRecord>.offset(of: \.attempt.call),
            MemoryLayout<RequestRecord>.offset(of: \.attempt.outcome),
            MemoryLayout<RequestRecord>.offset(of: \.body.buffered),
            MemoryLayout<RequestRecord>.offset(of: \.body.ended),
        ]
        #expect(lines.map { ($0 ?? -1) / Self.line } == [0, 0, 1, 1, 2, 2, 3, 3])
    }

    @Test("Parts of a slot don't overlap, and lie as their types want it")
    func slot() {
        let parts: [(offset: Int, size: Int, alignment: Int)] = [
            (0, MemoryLayout<RequestRecord>.size, Self.line),
            part(RoutingScanner.self),
            (RequestSlot.neighbours, MemoryLayout<ArrivalNeighbours>.size, 8),
            part(PathParts.self),
            (RequestSlot.requestID, RequestSlot.requestIDMaximum, 1),
            (RequestSlot.modelName, RequestSlot.modelNameMaximum, 1),
            (RequestSlot.smallBody, RequestSlot.smallBodyMaximum, 1),
            part(LookupState.self),
            (RequestSlot.mirror, 8, 8),
            (RequestSlot.hedge, 8, 8),
            part(Replay.self),
            part(AttemptClock.self),
            part(QueueTicket.self),
        ]
        for (part, next) in zip(parts, parts.dropFirst()) {
            #expect(part.offset + part.size <= next.offset)
        }
        for part in parts { #expect(part.offset % part.alignment == 0) }
        #expect(RequestSlot.modelNameMaximum == RoutingScanner.nameMaximum)
        let last = parts[parts.count - 1]
        #expect(last.offset + last.size <= RequestSlot.size)
        #expect(RequestSlot.size % Self.line == 0)
        #expect(RequestSlot.size == 18 * Self.line)
    }

    @Test(
        "What a gRPC request adds is one line; a REST request's is in one line with its identifier"
    )
    func addedLines() {
        #expect(RequestSlot.scanner % Self.line == 0)
        #expect(RequestSlot.pathParts == RequestSlot.scanner + Self.line)
        let identifierEnd = RequestSlot.requestID + 32
        #expect(identifierEnd <= RequestSlot.pathParts + Self.line)
    }

    private func part<Part: RequestPart>(_: Part.Type) -> (offset: Int, size: Int, alignment: Int) {
        (Part.offset, MemoryLayout<Part>.size, MemoryLayout<Part>.alignment)
    }

    @Test("A worker's slots begin with a cache line, however many there are")
    func slots() {
        let slab = Slab(stride: RequestSlot.size, alignment: RequestSlot.lineSize, chunkCount: 3)
        defer { slab.deallocate() }
        for _ in 0..<10 {
            let address = unsafe UInt(bitPattern: slab.take())
            #expect(address % UInt(Self.line) == 0)
        }
    }

    @Test("Each part has a bit of its own, which is no flag's")
    func bits() {
        let flags: [RequestFlags] = [
            .isInternal, .isTranslated, .hasRequestEnded, .hasResponseBegun, .isListed, .isHead,
            .isCoded, .expectsContinue, .hasOwnRequestID, .namesVersion, .isCallersDoing, .mustAsk,
            .isCapturing, .scanner, .pathParts, .lookup, .replay, .queueTicket, .clock, .mirror,
            .hedge,
        ]
        #expect(flags.allSatisfy { $0.rawValue.nonzeroBitCount == 1 })
        #expect(
            flags.reduce(into: RequestFlags()) { $0.formUnion($1) }.rawValue.nonzeroBitCount
                == flags.count
        )
    }
}
