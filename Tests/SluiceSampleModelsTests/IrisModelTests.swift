import SluiceInference
import SluiceSampleModels
import Testing

@Suite("Sample models")
struct IrisModelTests {
    /// Rows 0, 25, 50, 77, 100, 119 and 149 of the data set, and what scikit-learn 1.9.1's
    /// `predict_proba` says of them (Tests/fixtures/train_iris.py prints this).
    static let rows: [[Double]] = [
        [5.1, 3.5, 1.4, 0.2], [5.0, 3.0, 1.6, 0.2], [7.0, 3.2, 4.7, 1.4], [6.7, 3.0, 5.0, 1.7],
        [6.3, 3.3, 6.0, 2.5], [6.0, 2.2, 5.0, 1.5], [5.9, 3.0, 5.1, 1.8],
    ]
    static let v1 = [
        [0.9815572024179112, 0.018442783101168567, 1.4480920327393706e-08],
        [0.9509758691757421, 0.0490240440102689, 8.681398910487226e-08],
        [0.002124420815743645, 0.8740113694709063, 0.12386420971334988],
        [0.0005784111301851487, 0.4811486410159593, 0.5182729478538556],
        [9.028420154135092e-07, 0.003912606747141985, 0.9960864904108426],
        [0.00039029912156368223, 0.45181339833387923, 0.547796302544557],
        [0.0004760291277121309, 0.23488876686169657, 0.7646352040105914],
    ]
    static let v2 = [
        [0.798060521205562, 0.1732145303203919, 0.0287249484740461],
        [0.7500409433178127, 0.21539625948475166, 0.03456279719743564],
        [0.09315148099796884, 0.41549793042837085, 0.4913505885736602],
        [0.06740794915273025, 0.4005970352921851, 0.5319950155550847],
        [0.02317442322480028, 0.28216548520076384, 0.6946600915744359],
        [0.07374694234911683, 0.4764843113129708, 0.4497687463379124],
        [0.07351121093185055, 0.4164914286133124, 0.509997360454837],
    ]

    @Test(
        "Iris gives scikit-learn's probabilities",
        arguments: [(IrisModel.Revision.v1, v1), (.v2, v2)]
    )
    func probabilities(revision: IrisModel.Revision, expected: [[Double]]) {
        let model = IrisModel(revision)
        for (row, wanted) in zip(Self.rows, expected) {
            for (found, probability) in zip(model.probabilities(row), wanted) {
                #expect(abs(found - probability) < 1e-12)
            }
        }
    }

    @Test("Iris says what it takes")
    func refusals() {
        let model = IrisModel(.v1)
        for tensor in [
            Tensor(name: "input", datatype: .int8, shape: [1, 4], bytes: [1, 2, 3, 4]),
            Tensor(
                name: "input",
                datatype: .fp32,
                shape: [4],
                bytes: [UInt8](repeating: 0, count: 16)
            ),
        ] {
            #expect(throws: InferenceFailure.self) { try model.predict([tensor]) }
        }
    }

    @Test("The gate lets so many through, and the line moves in order")
    func gate() {
        var gate = CapacityGate(capacity: 2)
        let entered = (1...5).map { gate.enter($0) }
        #expect(entered == [true, true, false, false, false])
        let cancelled = [gate.cancel(4), gate.cancel(4)]
        #expect(cancelled == [true, false])
        let next = (1...4).map { _ in gate.leave() }
        #expect(next == [3, 5, nil, nil])
        let again = gate.enter(6)
        #expect(again)
    }
}
