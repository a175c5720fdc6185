import SluiceInference
import SluiceTelemetry

/// What becomes of a request that was drawn to be copied.
enum MirrorResult: Int, CaseIterable {
    /// The copy set out for a backend; later it is answered or failed.
    case sent
    case answered
    case failed
    /// As many copies as may be were under way, or no backend of the shadow was up.
    case dropped
    /// It can't be copied: a stream, too large, or it never became whole.
    case skipped

    var label: String {
        switch self {
        case .sent: "sent"
        case .answered: "answered"
        case .failed: "failed"
        case .dropped: "dropped"
        case .skipped: "skipped"
        }
    }
}

/// One model's counters of mirroring; `revision` is the shadow.
final class MirrorMetrics {
    private static let requestFamily = MetricFamily.counter(
        "sluice_mirror_requests_total",
        help: "Requests drawn to be copied to a shadow, by what became of the copy.",
        labels: ["model", "revision", "result"]
    )
    private static let comparisonFamily = MetricFamily.counter(
        "sluice_mirror_comparisons_total",
        help: "Copies sent to a shadow, by how its answer compares with the caller's.",
        labels: ["model", "revision", "result"]
    )

    private let hold: MetricHold
    private let requests: [CounterID]
    private let comparisons: [CounterID]

    init(store: MetricStore, model: String, revision: String) {
        hold = store.hold(model: model, revision: revision)
        requests = MirrorResult.allCases.map {
            store.counter(MirrorMetrics.requestFamily, [model, revision, $0.label])
        }
        comparisons = AnswerAgreement.allCases.map {
            store.counter(MirrorMetrics.comparisonFamily, [model, revision, $0.label])
        }
    }

    func requests(_ result: MirrorResult) -> CounterID { requests[result.rawValue] }

    func comparisons(_ result: AnswerAgreement) -> CounterID { comparisons[result.rawValue] }
}
