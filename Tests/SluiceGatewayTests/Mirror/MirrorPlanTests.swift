import SluiceRouting
import Testing

@testable import SluiceGateway

@Suite("How many copies for a shadow may be under way")
struct MirrorGateTests {
    @Test("So many come in, and each that leaves makes room for one", arguments: [0, 1, 3])
    func bound(maximum: Int) {
        let gate = MirrorGate()
        for _ in 0..<maximum { #expect(gate.enter(maximum: maximum)) }
        #expect(!gate.enter(maximum: maximum) && gate.count == maximum)
        guard maximum > 0 else { return }
        gate.leave()
        #expect(gate.enter(maximum: maximum) && !gate.enter(maximum: maximum))
    }

    @Test("A bound that was lowered lets nobody in until so many have left")
    func lowered() {
        let gate = MirrorGate()
        for _ in 0..<3 { _ = gate.enter(maximum: 3) }
        #expect(!gate.enter(maximum: 1))
        gate.leave()
        gate.leave()
        #expect(!gate.enter(maximum: 1))
        gate.leave()
        #expect(gate.enter(maximum: 1))
    }

    @Test("Requests of many threads never see more inside than there may be")
    func threads() async {
        let gate = MirrorGate()
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<2_000 where gate.enter(maximum: 2) { gate.leave() }
                }
            }
        }
        #expect(gate.count == 0)
    }

    @Test("A copy that leaves twice ends the process: others would go beyond the bound for ever")
    func twice() async {
        await #expect(processExitsWith: .failure) {
            let gate = MirrorGate()
            _ = gate.enter(maximum: 1)
            gate.leave()
            gate.leave()
        }
    }

    @Test("A header may lead to the shadow where the model allows it, or a route names it")
    func routes() {
        let free = TrafficRules(
            allowsRevisionHeader: true,
            table: RouteTable([]),
            sticky: nil
        )
        #expect(free.mayRoute(to: 0) && free.mayRoute(to: 1))
        let closed = TrafficRules(
            allowsRevisionHeader: false,
            table: RouteTable([]),
            sticky: nil
        )
        #expect(!closed.mayRoute(to: 1))
    }
}
