import SluiceCore
import SluiceGateway

/// A revision that gets copies of predictions.
struct Shadow {
    let role: Scenario.Role
    let maxInFlight: Int
    let maxBytes: Int
    let compares: Bool

    init(seed: UInt64) {
        var random = RandomSource(seed: seed &* 0x9E37_79B9_7F4A_7C15)
        let roles: [Scenario.Role] = [
            .good, .good, .slow, .failing, .stalling, .absent, .rude, .hasty,
        ]
        role = roles[random.next(below: roles.count)]
        maxInFlight = [1, 3, 1_000][random.next(below: 3)]
        maxBytes = [100, 10_000, 1 << 20][random.next(below: 3)]
        compares = random.next(below: 4) > 0
    }

    static func revision(_ backends: [BackendPlan]) -> RevisionPlan {
        RevisionPlan(name: "shadow", backendModelName: nil, backends: backends)
    }

    func plan(revision: Int, gate: MirrorGate) -> MirrorPlan {
        MirrorPlan(
            revision: revision,
            share: 10_000,
            maxInFlight: maxInFlight,
            maxBytes: maxBytes,
            tolerance: compares ? 0 : nil,
            gate: gate
        )
    }
}

extension Scenario {
    /// The same world with a shadow, which must change nothing for anybody.
    func mirrored() -> Scenario {
        var scenario = self
        scenario.shadow = Shadow(seed: seed)
        return scenario
    }
}

extension GatewayWorld {
    /// Whether every copy is accounted for.
    func mirrorBookkeeping(_ ledger: Ledger) -> [String] {
        guard let shadow = scenario.shadow else { return [] }
        var faults: [String] = []
        func count(_ family: String, _ result: String) -> Int {
            ledger.sum(family) { $0.contains("result=\"\(result)\"") }
        }
        func requests(_ result: String) -> Int { count("sluice_mirror_requests_total", result) }
        let sent = requests("sent")
        if sent != requests("answered") + requests("failed") {
            faults.append("\(sent) copies were sent, others answered or failed")
        }
        let compared = ledger.sum("sluice_mirror_comparisons_total") { _ in true }
        if compared != (shadow.compares ? sent : 0) {
            faults.append("\(sent) copies were sent, \(compared) compared")
        }
        if mirrorGate.count != 0 { faults.append("\(mirrorGate.count) copies are still counted") }
        for (id, times) in shadowModel.counts where times > 1 {
            faults.append("\(id) reached the shadow \(times) times")
        }
        let seen = shadowModel.counts.count
        if seen > sent { faults.append("\(seen) copies came, \(sent) were sent") }
        // Both echo.
        let wrong =
            count("sluice_mirror_comparisons_total", "different")
            + count("sluice_mirror_comparisons_total", "argmax")
            + count("sluice_mirror_comparisons_total", "close")
        if wrong > 0 { faults.append("\(wrong) answers differ from their copies'") }
        if scenario.isCalm, shadow.role == .good || shadow.role == .slow {
            if requests("failed") > 0 { faults.append("\(requests("failed")) copies failed") }
            let equal = count("sluice_mirror_comparisons_total", "equal")
            if shadow.compares, equal != sent {
                faults.append("\(sent) copies on a calm day, but only \(equal) are equal")
            }
        }
        return faults
    }
}
