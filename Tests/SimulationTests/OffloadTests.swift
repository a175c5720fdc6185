import Glibc
import SluiceCache
import SluiceCore
import SluiceIO
import SluiceSimulation
import Synchronization
import Testing

@Suite("Long bodies and helper threads")
struct OffloadTests {
    private static let long = OffloadScene.longCount

    @Test(
        "While a long body is with a helper thread others are served, and then it has all its numbers",
        .timeLimit(.minutes(3)),
        arguments: [nil, CachePolicy(timeToLive: .seconds(60))]
    )
    func others(policy: CachePolicy?) throws {
        let scene = try OffloadScene(cache: policy)
        let patient = try scene.ask(7, count: Self.long)
        try scene.run("a body is lent") { scene.offload.waiting == 1 }
        let short = try scene.ask(3, count: 4)
        try scene.run("a short request is answered") { scene.isAnswered(short, 3, count: 4) }
        #expect(scene.offload.waiting == 1 && patient.input.isEmpty)
        try scene.work("the long one is answered") {
            scene.isAnswered(patient, 7, count: Self.long)
        }
        try scene.work("nothing is left to do") { scene.offload.waiting == 0 }
        // Its key where it is looked up, its translation, its answer's, and what is kept of that.
        #expect(
            scene.count("sluice_offload_tasks_total", "taken") == (policy == nil ? 2 : 4)
        )
        #expect(scene.count("sluice_offload_tasks_total", "refused") == 0)
        if policy != nil {
            let again = try scene.ask(7, count: Self.long)
            try scene.work("it is answered again") {
                scene.isAnswered(again, 7, count: Self.long)
            }
            #expect(again.text.contains("cache-status: sluice; hit"))
        }
        #expect(try scene.close() == [])
    }

    @Test(
        "Real helper threads do all they took, and refuse what is too much",
        .timeLimit(.minutes(1))
    )
    func threads() {
        let pool = OffloadPool(threadCount: 2)
        let gate = Mutex(0)
        let done = Mutex(0)
        var taken = 0
        gate.withLock { _ in
            // Both threads may have one; all others wait.
            for _ in 0..<(OffloadPool.waitingMaximum + 10) {
                let isTaken = pool.submit(isRefusable: true) {
                    gate.withLock { _ in done.withLock { $0 += 1 } }
                }
                taken += isTaken ? 1 : 0
            }
            #expect(taken >= OffloadPool.waitingMaximum && taken <= OffloadPool.waitingMaximum + 2)
            // What must run always finds room.
            let isTaken = pool.submit(isRefusable: false) { done.withLock { $0 += 1 } }
            #expect(isTaken)
        }
        while done.withLock({ $0 }) <= taken { sched_yield() }
        pool.stop()
        #expect(done.withLock { $0 } == taken + 1)
        #expect(!pool.submit(isRefusable: false) {})
    }

    @Test(
        "Who leaves, or has no time left, while its body is lent leaves nothing behind",
        .timeLimit(.minutes(3)),
        arguments: [true, false],
        [0, 1]
    )
    func leaving(isByDeadline: Bool, stepsBefore: Int) throws {
        let scene = try OffloadScene()
        let peer = try scene.ask(7, count: Self.long)
        try scene.run("a body is lent") { scene.offload.waiting == 1 }
        for _ in 0..<stepsBefore {
            // The request goes out; its answer is lent next.
            scene.offload.work()
            scene.world.tickAll()
            try scene.run("another body is lent") { scene.offload.waiting == 1 }
        }
        if isByDeadline {
            try scene.run("its time is over") { peer.text.hasPrefix("HTTP/1.1 504") }
        } else {
            peer.close()
            try scene.world.pass(.milliseconds(100))
        }
        #expect(scene.offload.waiting == 1)
        scene.offload.work()
        scene.world.tickAll()
        let short = try scene.ask(3, count: 4)
        try scene.run("a short request is answered") { scene.isAnswered(short, 3, count: 4) }
        #expect(try scene.close() == [])
    }

    @Test(
        "Where too much waits a long request is refused, and a short one isn't",
        .timeLimit(.minutes(3))
    )
    func refused() throws {
        let scene = try OffloadScene(room: 1)
        let first = try scene.ask(7, count: Self.long)
        try scene.run("a body is lent") { scene.offload.waiting == 1 }
        let second = try scene.ask(8, count: Self.long)
        try scene.run("the second is refused") { second.text.hasPrefix("HTTP/1.1 503") }
        let short = try scene.ask(3, count: 4)
        try scene.run("a short request is answered") { scene.isAnswered(short, 3, count: 4) }
        try scene.work("the first is answered") { scene.isAnswered(first, 7, count: Self.long) }
        #expect(scene.count("sluice_offload_tasks_total", "refused") == 1)
        #expect(try scene.close() == [])
    }
}
