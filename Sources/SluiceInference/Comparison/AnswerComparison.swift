// Do two revisions say the same? An answer is as good as its worst tensor:
//
//     equal < close < argmax < different < uncomparable
//
// Classifiers differ in the seventh digit between two GPUs and in the second between two trainings,
// and neither need matter: what callers act on is mostly the largest score. So there are steps
// between "the same bytes" and "different". Rows are those of the last dimension, and only where
// there is a dimension before it: the single dimension of a tensor is its batch, and which caller's
// number is largest says nothing about a model.

package import SluiceCore
import SluiceWire

/// Compares two answers to one request, both in the form of its caller; pure.
package struct AnswerComparison: Sendable {
    /// How far numbers may lie apart: absolutely up to one, relative to the larger above it.
    package let tolerance: Double

    /// A comparison; `tolerance` isn't negative.
    package init(tolerance: Double) { self.tolerance = tolerance }

    /// An answer's body; for V2 with its `Inference-Header-Content-Length`, if it has one.
    @safe
    package struct Answer {
        let body: UnsafeRawBufferPointer
        let headerLength: Int?

        /// An answer in memory that outlives the comparison.
        package init(_ body: UnsafeRawBufferPointer, headerLength: Int? = nil) {
            unsafe self.body = body
            self.headerLength = headerLength
        }
    }

    /// How far two answers agree; a gRPC answer is its message without the prefix.
    ///
    /// Time and memory grow with the larger of the two, which the caller has bounded.
    package func agreement(
        of left: Answer,
        and right: Answer,
        _ form: ResponseFormat.APIForm,
        pool: BufferPool
    ) -> AnswerAgreement {
        do throws(InferenceFailure) {
            switch form {
            case .v1: return texts(left, right, pool)
            case .v2:
                return try responses(
                    unsafe InferenceResponse(json: left.body, headerLength: left.headerLength),
                    unsafe InferenceResponse(json: right.body, headerLength: right.headerLength),
                    pool
                )
            case .grpc:
                return try responses(
                    unsafe InferenceResponse(protobuf: left.body),
                    unsafe InferenceResponse(protobuf: right.body),
                    pool
                )
            }
        } catch {
            return .uncomparable
        }
    }

    // MARK: - Forms

    /// Outputs are told apart by name; they may come in another order.
    private func responses(
        _ left: InferenceResponse,
        _ right: InferenceResponse,
        _ pool: BufferPool
    ) throws(InferenceFailure) -> AnswerAgreement {
        guard !left.outputs.isEmpty, left.outputs.count == right.outputs.count else {
            return .uncomparable
        }
        var leftScratch = ByteBuffer(pool: pool)
        var rightScratch = ByteBuffer(pool: pool)
        var worst = AnswerAgreement.equal
        // Names don't repeat within an answer; a table, because there may be thousands of them.
        let others = Dictionary(right.outputs.map { ($0.name, $0) }) { $1 }
        for tensor in left.outputs {
            guard let other = others[tensor.name], tensor.datatype == other.datatype,
                tensor.shape == other.shape
            else { return .uncomparable }
            let pair = unsafe TensorPair(
                left: try tensor.raw(&leftScratch, .generic),
                right: try other.raw(&rightScratch, .generic),
                datatype: tensor.datatype,
                rowLength: tensor.shape.count > 1 ? tensor.shape.last ?? 0 : 0
            )
            worst = max(worst, pair.agreement(tolerance))
        }
        return worst
    }

    /// V1 has no datatypes: its `predictions` (or `outputs`) are compared as JSON, whose numbers
    /// are doubles.
    private func texts(_ left: Answer, _ right: Answer, _ pool: BufferPool) -> AnswerAgreement {
        var pair = JSONPair(tolerance: tolerance, pool: pool)
        let found = unsafe try? pair.agreement(
            left.body,
            right.body,
            in: ["predictions", "outputs"]
        )
        return found ?? .uncomparable
    }
}

/// Whether numbers are the same for all that `tolerance` cares.
enum Closeness {
    /// NaN is close to NaN, and an infinity to itself only.
    static func holds(_ left: Double, _ right: Double, _ tolerance: Double) -> Bool {
        if left == right || left.isNaN && right.isNaN { return true }
        guard left.isFinite, right.isFinite else { return false }
        return abs(left - right) <= tolerance * max(1, abs(left), abs(right))
    }

    /// The place of the largest of `count` numbers, the first if several are; -1 if all are NaN.
    static func largest(_ count: Int, _ number: (Int) -> Double) -> Int {
        var place = -1
        var best = -Double.infinity
        for index in 0..<count {
            let value = number(index)
            if !value.isNaN, place < 0 || value > best { (place, best) = (index, value) }
        }
        return place
    }
}
