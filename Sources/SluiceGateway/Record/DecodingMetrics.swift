import SluiceCompression
package import SluiceTelemetry

/// What became of compressed bodies that had to be read.
package enum DecodingMetrics {
    package static let decoded = MetricFamily.counter(
        "sluice_decoded_bodies_total",
        help: "Compressed bodies and messages that had to be read, by what became of them.",
        labels: ["direction", "coding", "result"]
    )

    enum Direction: String {
        case request, answer
    }

    enum Outcome: String {
        case decoded, malformed
        case tooLarge = "too_large"

        init(_ failure: InflateFailure) {
            self =
                switch failure {
                case .tooLarge, .tooDense, .outOfMemory: .tooLarge
                case .malformed, .truncated: .malformed
                }
        }
    }
}
