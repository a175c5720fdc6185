import SluiceCore
import SluiceHTTP
import SluiceIngress
import Testing

@testable import SluiceGateway

@Suite("Single gRPC calls whose message is still to come")
struct ArrivalQueueTests {
    /// Requests that nothing else knows.
    @safe
    final class Records {
        private let slab = Slab(stride: RequestSlot.size, alignment: RequestSlot.lineSize)
        private let arena = HTTPArena()
        private let snapshot = WorkerSnapshot(
            snapshot: Snapshot(generation: 1, models: [], maxRequestBytes: 1),
            models: []
        )
        private var exchanges: [Exchange] = []

        func make() -> Request {
            let exchange = Exchange.detached(arena)
            exchanges.append(exchange)
            let request = unsafe slab.take().bindMemory(to: RequestRecord.self, capacity: 1)
            unsafe request.initialize(
                to: RequestRecord(
                    exchange: exchange,
                    workerSnapshot: .passUnretained(snapshot),
                    head: arena.blocks.take(),
                    started: .zero
                )
            )
            return unsafe request
        }

        deinit {
            for exchange in exchanges { exchange.releaseHost() }
            slab.deallocate()
        }
    }

    /// The queue's requests from the first on, by their place among `all`.
    private static func order(_ queue: ArrivalQueue, _ all: [Request]) -> [Int?] {
        var order: [Int?] = []
        var next = unsafe queue.first
        while let request = unsafe next, unsafe order.count <= all.count {
            unsafe order.append(all.firstIndex(of: request))
            unsafe next = request.neighbours.pointee.next
        }
        return order
    }

    @Test("Requests leave in any order, and those that stay keep theirs", arguments: 0..<24)
    func anyOrder(seed: Int) {
        let records = Records()
        var queue = ArrivalQueue()
        let all = unsafe (0..<4).map { _ in unsafe records.make() }
        for index in unsafe all.indices { unsafe queue.append(all[index]) }
        #expect(unsafe Self.order(queue, all) == [0, 1, 2, 3])
        // One of the 24 orders, written to the factorial base.
        var (rest, code) = ([0, 1, 2, 3], seed)
        for size in (1...4).reversed() {
            let leaving = rest.remove(at: code % size)
            code /= size
            unsafe queue.remove(all[leaving])
            #expect(unsafe Self.order(queue, all) == rest)
        }
        #expect(unsafe queue.first == nil)
        // Empty again, it takes others.
        unsafe queue.append(all[2])
        unsafe queue.append(all[0])
        #expect(unsafe Self.order(queue, all) == [2, 0])
    }

    @Test("A request that leaves twice ends a debug build: it would take others with it")
    func twice() async {
        await #expect(processExitsWith: .failure) {
            let records = Records()
            var queue = ArrivalQueue()
            let (one, other) = unsafe (records.make(), records.make())
            unsafe queue.append(one)
            unsafe queue.append(other)
            unsafe queue.remove(one)
            unsafe queue.remove(one)
        }
    }
}
