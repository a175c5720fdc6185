import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIngress
import Testing

@testable import SluiceGateway

/// Memory of a request that was over holds what it held: nothing may be taken for the next one's.
@Suite("The slot of a request")
struct RequestSlotTests {
    /// A byte that no field begins with throughout.
    static let litter: UInt8 = 0xA5

    /// Calls `body` with a request that has just begun in a slot full of litter.
    private func withRequest(_ body: (Request) throws -> Void) rethrows {
        let slot = UnsafeMutableRawPointer.allocate(
            byteCount: RequestSlot.size,
            alignment: RequestSlot.lineSize
        )
        defer { unsafe slot.deallocate() }
        unsafe slot.initializeMemory(
            as: UInt8.self,
            repeating: Self.litter,
            count: RequestSlot.size
        )
        let arena = HTTPArena()
        let exchange = Exchange.detached(arena)
        let head = arena.blocks.take()
        let snapshot = WorkerSnapshot(
            snapshot: Snapshot(generation: 0, models: [], maxRequestBytes: 1),
            models: []
        )
        let request = unsafe slot.bindMemory(to: RequestRecord.self, capacity: 1)
        unsafe request.initialize(
            to: RequestRecord(
                exchange: exchange,
                workerSnapshot: .passUnretained(snapshot),
                head: head,
                started: .zero
            )
        )
        try unsafe body(request)
        arena.blocks.give(head)
        exchange.releaseHost()
    }

    /// Which bytes of the slot aren't litter any more.
    private func written(_ request: Request) -> [Int] {
        let bytes = unsafe UnsafeRawBufferPointer(start: request, count: RequestSlot.size)
        return bytes.indices.filter { unsafe bytes[$0] != Self.litter }
    }

    @Test("A request that begins writes its record and nothing behind it")
    func begin() {
        unsafe withRequest { request in
            let places = unsafe written(request)
            #expect(places.allSatisfy { $0 < MemoryLayout<RequestRecord>.size })
            // All but what is between fields.
            #expect(places.count >= MemoryLayout<RequestRecord>.size - 8)
        }
    }

    @Test("A part that wasn't begun isn't there, and its begin is its initial value")
    func parts() {
        unsafe withRequest { request in
            let missing = unsafe [
                request.existing(RoutingScanner.self) == nil,
                request.existing(PathParts.self) == nil,
                request.existing(LookupState.self) == nil,
                request.existing(Replay.self) == nil,
                request.existing(AttemptClock.self) == nil,
                request.existing(QueueTicket.self) == nil,
                request.mirror == nil, request.hedge == nil, request.cacheable == nil,
                request.rawID == nil,
            ]
            #expect(missing.allSatisfy { $0 })
            let keptCount = unsafe request.keptCount
            #expect(keptCount == 0)

            let replay = unsafe request.replay.pointee
            #expect(replay.body.isEmpty && replay.headerLength == -1)
            let lookup = unsafe request.lookup.pointee
            #expect(unsafe lookup.key == nil && lookup.ticket == nil && lookup.cacheable == nil)
            #expect(lookup.token == 0 && lookup.captured.isEmpty && lookup.headerLength == -1)
            let parts = unsafe request.pathParts.pointee
            #expect(parts.modelStart == 0 && parts.modelEnd == 0 && parts.prefixLength == 0)
            let scanner = unsafe request.scanner.pointee
            #expect(!scanner.isComplete && !scanner.isRouted && scanner.nameCount == 0)
            let clock = unsafe request.clock.pointee
            #expect(clock.stalledSince == nil && clock.unreadTime(at: .zero) == 0)
            let isQueued = unsafe request.queueTicket.pointee.ticket != nil
            #expect(!isQueued)
        }
    }

    @Test("What was written into a part is there when it is asked for again")
    func keeps() {
        unsafe withRequest { request in
            unsafe request.lookup.pointee.token = 7
            unsafe request.pathParts.pointee.prefixLength = 9
            unsafe request.begin(with: PathParts())
            let (token, prefix) = unsafe (
                request.lookup.pointee.token, request.pathParts.pointee.prefixLength
            )
            #expect(token == 7)
            #expect(prefix == 0)
        }
    }

    @Test("A clock that is reset begins anew")
    func clock() {
        unsafe withRequest { request in
            unsafe request.clock.pointee.wait(forBackend: 3, at: Instant(nanoseconds: 5))
            unsafe request.pointee.body.ended = Instant(nanoseconds: 6)
            unsafe request.resetClock()
            let (clock, ended) = unsafe (request.clock.pointee, request.pointee.body.ended)
            #expect(clock.stalledSince == nil)
            #expect(ended == .zero)
        }
    }

    @Test("What a gRPC request begins is in one line behind the record")
    func grpc() {
        unsafe withRequest { request in
            let before = unsafe written(request)
            unsafe request.begin(
                with: RoutingScanner(nameField: 1, messageMaximum: 64 << 20, isStreaming: false)
            )
            unsafe request.neighbours.pointee = ArrivalNeighbours(next: nil, previous: nil)
            let added = Set(unsafe written(request)).subtracting(before)
            let record = MemoryLayout<RequestRecord>.size
            #expect(added.allSatisfy { $0 < record + RequestSlot.lineSize })
            #expect(!added.isEmpty)
        }
    }

    @Test("Statuses and codes keep their values, and a backend's number that is none is bounded")
    func numbers() {
        unsafe withRequest { request in
            unsafe request.pointee.status = 599
            unsafe request.pointee.attempt.code = 1_000_000
            let (status, grpc, code) = unsafe (
                request.pointee.status, request.pointee.grpcStatus, request.pointee.attempt.code
            )
            #expect(status == 599)
            #expect(grpc == -1)
            #expect(code == Int(UInt16.max))
            unsafe request.pointee.grpcStatus = 16
            let set = unsafe request.pointee.grpcStatus
            #expect(set == 16)
        }
    }

    @Test("Flags are set and cleared one by one")
    func flags() {
        unsafe withRequest { request in
            unsafe request.pointee.isInternal = true
            unsafe request.pointee.hasRequestEnded = true
            unsafe request.pointee.isInternal = false
            let flags = unsafe request.pointee.flags
            #expect(flags == .hasRequestEnded)
            unsafe request.pointee.retry.keepsBody = true
            unsafe request.pointee.retry.wasStale = true
            unsafe request.pointee.retry.keepsBody = false
            let retry = unsafe request.pointee.retry
            #expect(retry.wasStale && !retry.keepsBody && !retry.isKept)
        }
    }
}
