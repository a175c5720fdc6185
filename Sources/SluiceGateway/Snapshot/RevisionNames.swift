import SluiceHTTP
import SluiceTelemetry

/// What a worker knows by the names of the revisions that its newest snapshot has.
///
/// Numbers are never given twice, as caches know revisions by them: one that comes back gets another.
struct RevisionNames {
    private struct Table {
        /// By model and revision.
        var metrics: [String: RevisionMetrics] = [:]
        /// By model, revision and the name at its backends.
        var numbers: [String: UInt32] = [:]
        /// By revision.
        var answers: [String: UInt64] = [:]
    }

    private var known = Table()
    private var before = Table()
    private var nextNumber: UInt32 = 0
    private var nextAnswer = RevisionNames.firstAnswer
    private var nextUse: UInt64 = 0

    /// The number of the first answer's name; 1 is that of trailers.
    static let firstAnswer: UInt64 = 2

    /// A snapshot comes: what isn't asked for until ``end()`` is forgotten then.
    mutating func begin() {
        before = known
        known = Table()
    }

    /// All names of the snapshot were asked for.
    mutating func end() { before = Table() }

    /// ``WorkerRevision/number``.
    mutating func number(of revision: RevisionPlan, in model: String) -> UInt32 {
        let key = "\(model)\u{0}\(revision.identity)"
        let number = known.numbers[key] ?? before.numbers[key] ?? nextNumber
        if number == nextNumber { nextNumber &+= 1 }
        known.numbers[key] = number
        return number
    }

    /// ``WorkerRevision/answerName``.
    mutating func answer(of revision: String) -> HeadName {
        let number = known.answers[revision] ?? before.answers[revision] ?? nextAnswer
        if number == nextAnswer { nextAnswer &+= 1 }
        known.answers[revision] = number
        return HeadName(number)
    }

    /// ``WorkerBackend/use``: another with each snapshot, so that a name never outlives the
    /// configuration that it was made under.
    mutating func use() -> UInt64 {
        nextUse += HeadUse.count
        return nextUse
    }

    /// The series of a revision, which registers those of one that is new.
    mutating func metrics(
        of revision: String,
        in model: String,
        store: MetricStore,
        codes: CodeTable
    ) -> RevisionMetrics {
        let key = "\(model)\u{0}\(revision)"
        let metrics =
            known.metrics[key] ?? before.metrics[key]
            ?? RevisionMetrics(store: store, codes: codes, model: model, revision: revision)
        known.metrics[key] = metrics
        return metrics
    }
}
