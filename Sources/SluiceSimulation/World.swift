// Loops, their kernels and the network between them, run in one thread by one seed.
//
// A step lets one loop that has something to do make one tick, any of them, as threads would. Only
// when nobody has anything to do does the clock move on, to the next arrival or timer. So the world
// never waits, and an hour of idle connections takes a millisecond.
package import SluiceCore
package import SluiceIO

/// A world of event loops in virtual time.
package final class World {
    /// Why a run ended early.
    package struct Failure: Error, CustomStringConvertible {
        /// What was seen.
        package let description: String

        /// A failure.
        package init(_ description: String) { self.description = description }
    }

    private struct Member {
        let loop: EventLoop
        let kernel: SimulatedKernel
    }

    /// The time.
    package let clock: VirtualClock
    /// What lies between the loops.
    package let network: SimulatedNetwork
    /// Ticks made so far.
    package private(set) var tickCount = 0

    private var members: [Member] = []
    private var random: RandomSource
    private var ready: [Int] = []

    /// An empty world; everything in it follows from `seed`.
    package init(seed: UInt64) {
        var random = RandomSource(seed: seed)
        clock = VirtualClock()
        network = SimulatedNetwork(clock: clock, seed: random.next())
        network.wallOffset = Int64(random.next(below: 1 << 40))
        self.random = random
    }

    /// A loop with a kernel of its own.
    package func makeLoop(name: String) -> (loop: EventLoop, kernel: SimulatedKernel) {
        let kernel = network.makeKernel(name: name)
        let loop = EventLoop(kernel: kernel)
        members.append(Member(loop: loop, kernel: kernel))
        return (loop, kernel)
    }

    // MARK: - Running

    /// Runs until `isDone`, or throws when `limit` comes first.
    package func run(
        until limit: Instant,
        _ purpose: String,
        _ isDone: () -> Bool
    ) throws(Failure) {
        while !isDone() {
            guard try step(until: limit) else { throw Failure("\(purpose): not done in time") }
        }
    }

    /// Lets `duration` pass, whatever happens in it.
    package func pass(_ duration: Duration) throws(Failure) {
        let limit = clock.now + duration
        while try step(until: limit) {}
    }

    /// Lets one loop make a tick, or time pass; false once it is `limit` and all is quiet.
    ///
    /// Throws at the first violation, and when there are so many ticks that a loop must be
    /// spinning.
    package func step(until limit: Instant) throws(Failure) -> Bool {
        if let violation = network.violations.first { throw Failure(violation) }
        let now = clock.now
        ready.removeAll(keepingCapacity: true)
        var next = Instant.distantFuture
        for (index, member) in members.enumerated() {
            let deadline = member.loop.nextDeadline ?? .distantFuture
            if deadline <= now || member.kernel.hasEvents {
                ready.append(index)
            } else {
                next = min(next, deadline)
            }
        }
        guard !ready.isEmpty else {
            next = min(next, network.nextChange ?? .distantFuture)
            if next > limit {
                if limit > now { clock.advance(to: limit) }
                return false
            }
            clock.advance(to: next)
            return true
        }
        guard now < limit else { return false }
        tickCount += 1
        if tickCount > World.tickMaximum { throw Failure("the loops don't come to rest") }
        members[ready[random.next(below: ready.count)]].loop.tick(until: nil)
        // Work takes time, and two loops never do anything at the very same moment.
        clock.advance(byNanoseconds: Int64(1_000 + random.next(below: 9_000)))
        return true
    }

    /// Lets every loop make a tick, due or not: what was closed from outside is let go then.
    package func tickAll() {
        for member in members { member.loop.tick(until: nil) }
    }

    private static let tickMaximum = 200_000
}
