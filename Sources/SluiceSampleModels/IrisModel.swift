// Multinomial logistic regression on the iris measurements of Fisher, "The use of multiple
// measurements in taxonomic problems", 1936, as the UCI repository and scikit-learn ship them.
//
// The coefficients are those of scikit-learn 1.9.1's LogisticRegression, trained on all 150 rows
// by Tests/fixtures/train_iris.py: v1 with C = 1.0 (97.3 % of the rows right), v2 with C = 0.02,
// whose stronger regularisation gives visibly softer probabilities (92 %).
private import Glibc
package import SluiceInference
package import SluiceWire

/// Which iris it is, from the lengths and widths of sepal and petal in centimetres.
package struct IrisModel: SampleModel {
    /// A training of the model.
    package enum Revision: String, Sendable, CaseIterable { case v1, v2 }

    private let coefficients: [[Double]]
    private let intercepts: [Double]
    private static let species = ["setosa", "versicolor", "virginica"]

    /// The model as trained for `revision`.
    package init(_ revision: Revision) {
        switch revision {
        case .v1:
            coefficients = [
                [-0.4241593764724635, 0.9663348466673634, -2.516037199666637, -1.0820524533052984],
                [
                    0.5346410915679208, -0.3203970572016162, -0.2070200139516686,
                    -0.9432489854841273,
                ],
                [-0.11048171509544776, -0.6459377894657373, 2.7230572136182967, 2.025301438789416],
            ]
            intercepts = [9.85533211540977, 2.234159479887914, -12.089491595297252]
        case .v2:
            coefficients = [
                [
                    -0.1797145742591488, 0.14614475138299213, -0.6029514760816929,
                    -0.24586959356258115,
                ],
                [
                    -0.004520209005338909, -0.16550329552831702, 0.10555135313031644,
                    -0.030468641319322906,
                ],
                [0.1842347832644821, 0.019358544145322194, 0.4974001229513812, 0.2763382348819021],
            ]
            intercepts = [2.915701002603681, 0.5503402028839157, -3.4660412054876146]
        }
    }

    package var name: String { "iris" }
    package var inputs: [TensorSignature] { [TensorSignature("input", .fp32, [-1, 4])] }
    package var outputs: [TensorSignature] {
        [
            TensorSignature("probabilities", .fp32, [-1, 3]),
            TensorSignature("label", .int64, [-1]),
        ]
    }

    /// The softmax over the three linear scores.
    package func probabilities(_ row: [Double]) -> [Double] {
        let scores = coefficients.indices.map { index in
            zip(coefficients[index], row).reduce(intercepts[index]) { $0 + $1.0 * $1.1 }
        }
        let highest = scores.max() ?? 0
        let powers = scores.map { exp($0 - highest) }
        let sum = powers.reduce(0, +)
        return powers.map { $0 / sum }
    }

    package func predict(_ inputs: [Tensor]) throws(InferenceFailure) -> [Tensor] {
        guard inputs.count == 1, let input = inputs.first else {
            throw InferenceFailure("iris takes one input, 'input', not \(inputs.count)")
        }
        guard input.datatype == .fp32 || input.datatype == .fp64 else {
            throw InferenceFailure("iris takes FP32 or FP64, not \(input.datatype.rawValue)")
        }
        guard input.shape.count == 2, input.shape[1] == 4 else {
            throw InferenceFailure("iris takes shape [rows, 4], not \(input.shape)")
        }
        let numbers = try IrisModel.doubles(input)
        guard numbers.count == 4 * input.shape[0] else {
            throw InferenceFailure("iris takes 4 numbers for each row")
        }
        var (floats, labels) = ([UInt8](), [UInt8]())
        for row in 0..<input.shape[0] {
            let found = probabilities(Array(numbers[(4 * row)..<(4 * row + 4)]))
            for probability in found { floats.appendLittleEndian(Float(probability).bitPattern) }
            labels.appendLittleEndian(Int64(best(found)))
        }
        return [
            Tensor(
                name: "probabilities",
                datatype: .fp32,
                shape: [input.shape[0], 3],
                bytes: floats
            ),
            Tensor(name: "label", datatype: .int64, shape: [input.shape[0]], bytes: labels),
        ]
    }

    package func predict(instances: [JSONValue]) throws(InferenceFailure) -> [JSONValue] {
        var predictions: [JSONValue] = []
        for (index, instance) in instances.enumerated() {
            let row = (instance.elements ?? instance["input"]?.elements ?? []).compactMap(\.double)
            guard row.count == 4 else {
                throw InferenceFailure("instance \(index) is not a list of four numbers")
            }
            let found = probabilities(row)
            predictions.append(
                .object([
                    .init("label", .string(IrisModel.species[best(found)])),
                    .init("probabilities", .array(found.map { .number($0.description) })),
                ])
            )
        }
        return predictions
    }

    /// The elements of an FP32 or FP64 tensor.
    private static func doubles(_ tensor: Tensor) throws(InferenceFailure) -> [Double] {
        let bytes = try tensor.bytes
        return unsafe bytes.withUnsafeBytes { raw in
            tensor.datatype == .fp64
                ? stride(from: 0, to: raw.count - 7, by: 8).map {
                    unsafe raw.loadUnaligned(fromByteOffset: $0, as: Double.self)
                }
                : stride(from: 0, to: raw.count - 3, by: 4).map {
                    unsafe Double(raw.loadUnaligned(fromByteOffset: $0, as: Float.self))
                }
        }
    }

    private func best(_ probabilities: [Double]) -> Int {
        probabilities.indices.max { probabilities[$0] < probabilities[$1] } ?? 0
    }
}
