import SluiceBalancing
import SluiceCore
import Testing

@Suite("Adaptive concurrency")
struct ConcurrencyTests {
    /// Backends that work on `capacity` requests at once, 10 ms each, and as many callers as are let
    /// in: what waits for a place at the backends makes every answer late (Little's law).
    struct Crowd {
        var gradient = ConcurrencyGradient(ConcurrencyBounds())
        var now = Instant(nanoseconds: 1_000_000_000)
        var random = RandomSource(seed: 1)
        /// Requests that would come at once if they could.
        var demand = Int.max
        private static let work = 10_000_000.0

        mutating func run(capacity: Int, for duration: Duration) -> Int {
            let end = now + duration
            while now < end {
                let inFlight = min(gradient.limit, demand)
                let time = Self.work * max(1, Double(inFlight) / Double(capacity))
                now = now.advanced(byNanoseconds: Int64(time / Double(inFlight)))
                // A fifth more or less, by chance.
                let noise = 0.8 + 0.4 * Double(random.next(below: 1_000)) / 1_000
                gradient.note(nanoseconds: Int64(time * noise), inFlight: inFlight, at: now)
            }
            return gradient.limit
        }
    }

    @Test("The limit finds the capacity, and follows it when that halves and doubles")
    func follows() {
        var crowd = Crowd()
        var seen = [crowd.run(capacity: 100, for: .seconds(10))]
        seen.append(crowd.run(capacity: 50, for: .seconds(10)))
        seen.append(crowd.run(capacity: 100, for: .seconds(10)))
        seen.append(crowd.run(capacity: 200, for: .seconds(20)))
        print("adaptive concurrency at capacities 100, 50, 100, 200: \(seen)")
        // Half as much again as the capacity isn't a queue yet; see `ConcurrencyGradient`.
        for (limit, capacity) in zip(seen, [100, 50, 100, 200]) {
            #expect((capacity...(capacity * 9 / 4)).contains(limit), "\(seen)")
        }
    }

    @Test("A restart under load is over in a second: the limit doubles until there is a queue")
    func start() {
        var crowd = Crowd()
        #expect(crowd.gradient.limit == 4)
        #expect(crowd.run(capacity: 200, for: .seconds(1)) >= 200)
    }

    @Test("An hour of more than enough doesn't take the limit beyond its maximum")
    func drift() {
        var crowd = Crowd()
        _ = crowd.run(capacity: 20, for: .seconds(600))
        #expect(crowd.gradient.limit < 120, "\(crowd.gradient.limit)")
        #expect(crowd.run(capacity: 20, for: .seconds(3_000)) <= 1_000)
    }

    @Test("While few are under way, slow answers move nothing")
    func idle() {
        var crowd = Crowd()
        crowd.demand = crowd.run(capacity: 100, for: .seconds(10)) / 4
        // The window that began before the change is over after that.
        let before = crowd.run(capacity: 100, for: .seconds(1))
        #expect(crowd.run(capacity: 5, for: .seconds(10)) == before)
    }

    @Test("The limit stays within its bounds, and moves into others when they change")
    func bounds() {
        var crowd = Crowd()
        crowd.gradient = ConcurrencyGradient(ConcurrencyBounds(minimum: 10, maximum: 20))
        #expect(crowd.run(capacity: 500, for: .seconds(5)) == 20)
        #expect(crowd.run(capacity: 1, for: .seconds(30)) == 10)
        crowd.gradient.use(ConcurrencyBounds(minimum: 12, maximum: 15))
        #expect(crowd.gradient.limit == 12)
    }

    @Test("Nobody enters above the limit, and the count comes down again")
    func enter() {
        let limit = RevisionSharedState().concurrency
        #expect(limit.limit == nil && limit.tryEnter())
        limit.leave()
        limit.use(ConcurrencyBounds(minimum: 3, maximum: 3))
        for _ in 0..<3 { #expect(limit.tryEnter()) }
        #expect(!limit.tryEnter() && limit.inFlight == 3)
        limit.use(ConcurrencyBounds(minimum: 1, maximum: 1))
        limit.leave()
        #expect(!limit.tryEnter() && limit.inFlight == 2)
        limit.leave()
        limit.leave()
        #expect(limit.tryEnter() && limit.limit == 1)
        limit.use(nil)
        #expect(limit.limit == nil)
    }

    @Test("A line gives out no place above the revision's limit, and keeps none for nobody")
    func line() {
        let loads = BackendLoads()
        let board = RevisionSharedState()
        board.concurrency.use(ConcurrencyBounds(minimum: 2, maximum: 2))
        let load = loads.add()
        (load.health, load.limit) = (.up, 3)
        let candidates = RevisionQueue.Candidates(
            loads: [load],
            picker: BackendPicker(.leastRequest),
            concurrency: board.concurrency
        )
        var random = RandomSource(seed: 1)
        for token in 0..<4 as Range<UInt64> {
            _ = board.queue.join(
                RevisionQueue.Waiter(
                    worker: 0,
                    token: token,
                    candidates: candidates,
                    eligible: .all(1),
                    excluded: BackendSet()
                ),
                maximum: 10
            )
        }
        let grants = board.queue.serve(at: .zero, random: &random)
        #expect(grants.map(\.token) == [0, 1] && load.inFlight == 2)
        #expect(grants.allSatisfy { $0.concurrency === board.concurrency })
        // The backend is full, the revision isn't: what was counted in for the look is out again.
        load.limit = 2
        board.concurrency.use(ConcurrencyBounds(minimum: 9, maximum: 9))
        #expect(board.queue.serve(at: .zero, random: &random).isEmpty)
        #expect(board.concurrency.inFlight == 2)
    }
}

@Suite("Memory")
struct MemoryPressureTests {
    @Test("Levels begin at 92 and 95 percent, and end three percent lower")
    func levels() {
        var pressure = MemoryPressure()
        let readings: [(percent: Int, level: MemoryPressure.Level)] = [
            (91, .none), (92, .high), (94, .high), (95, .critical), (93, .critical),
            (92, .critical),
            (91, .high), (89, .high), (88, .none), (91, .none), (99, .critical), (50, .none),
        ]
        for reading in readings {
            #expect(pressure.update(resident: reading.percent, maximum: 100) == reading.level)
        }
        #expect(pressure.update(resident: 99, maximum: 100) == .critical)
        #expect(pressure.update(resident: 99, maximum: 0) == .none)
    }
}
