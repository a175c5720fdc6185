import SluiceBalancing
import SluiceCore
import SluiceGateway
import SluiceRouting
import Testing

@Suite("Who lends a share")
struct SpilloverWatchTests {
    let board = BackendLoads()

    private func plan(_ name: String, _ loads: [BackendLoad]) -> RevisionPlan {
        RevisionPlan(
            name: name,
            backendModelName: nil,
            backends: loads.map {
                BackendPlan(
                    label: name,
                    rest: nil,
                    grpc: nil,
                    load: $0,
                    probePath: "/",
                    probeInterval: .seconds(1),
                    probeTimeout: .seconds(1)
                )
            }
        )
    }

    private func snapshot(_ weights: [Int], _ loads: [[BackendLoad]]) -> Snapshot {
        Snapshot(
            generation: 1,
            models: [
                ModelPlan(
                    name: "iris",
                    timeout: .seconds(1),
                    balancing: .random,
                    split: TrafficSplit(weights: weights),
                    revisions: loads.enumerated().map { plan("v\($0.offset + 1)", $0.element) }
                )
            ],
            maxRequestBytes: 1
        )
    }

    private func at(_ seconds: Int64) -> Instant {
        Instant.zero.advanced(byNanoseconds: seconds * 1_000_000_000)
    }

    private func texts(_ notices: [SpilloverWatch.Notice]) -> [String] {
        notices.map { "\($0.model) \($0.revision) \($0.isSpillingOver ? "lends" : "takes")" }
    }

    @Test("A share is lent from when the last backend goes until the first is back, and told once")
    func spillingOver() {
        let loads = (0..<4).map { _ in board.add() }
        var watch = SpilloverWatch()
        watch.watch(snapshot([6_000, 4_000, 0], [[loads[0]], [loads[1], loads[2]], [loads[3]]]))
        #expect(watch.changes(at: at(1)).isEmpty, "backends nobody has asked yet may be tried")
        loads[1].health = .down
        loads[3].health = .down
        #expect(watch.changes(at: at(2)).isEmpty)
        loads[2].health = .down
        #expect(texts(watch.changes(at: at(3))) == ["iris v2 lends"])
        #expect(watch.changes(at: at(4)).isEmpty)
        // All are down: requests fail, and nothing is lent that wasn't.
        loads[0].health = .down
        #expect(watch.changes(at: at(5)).isEmpty)
        loads[1].health = .up
        #expect(texts(watch.changes(at: at(6))) == ["iris v1 lends", "iris v2 takes"])
    }

    @Test("It looks once a second, and at what is in force now")
    func pace() {
        let loads = (0..<2).map { _ in board.add() }
        var watch = SpilloverWatch()
        watch.watch(snapshot([5_000, 5_000], [[loads[0]], [loads[1]]]))
        #expect(watch.changes(at: at(1)).isEmpty)
        loads[1].health = .down
        #expect(watch.changes(at: at(1)).isEmpty)
        #expect(watch.changes(at: at(2)).count == 1)
        // At weight 0 there is no share to lend.
        watch.watch(snapshot([10_000, 0], [[loads[0]], [loads[1]]]))
        #expect(watch.changes(at: at(3)).map(\.isSpillingOver) == [false])
    }
}
