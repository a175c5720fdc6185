import SluiceCore
import Yams

extension Configuration {
    /// How a revision's cache is filled before the revision first takes weight.
    package struct Warm: Sendable, Equatable {
        /// Inputs that are replayed, at most.
        package var top = 1000
        /// Requests a second, over the whole gateway.
        package var rate = 50

        var yamlText: String { "{top: \(top), rate: \(rate)/s}" }
    }
}

// MARK: - Reading

extension ConfigurationReader {
    func warm(_ node: Node, _ model: String, ttl: Duration) -> Configuration.Warm? {
        guard var section = Section(node, name: "\(model).warm", findings) else { return nil }
        var warm = Configuration.Warm()
        section.number("top", 1...10_000, &warm.top)
        if let value = section.value("rate") {
            let text = value.scalar?.string ?? ""
            if text.hasSuffix("/s"), let rate = Int(text.dropLast(2)), (1...100_000).contains(rate)
            {
                warm.rate = rate
            } else {
                findings.add(
                    "`\(model).warm.rate` is how many requests a second, from 1/s to 100000/s, such as 50/s, not '\(Redaction.value(text))'",
                    at: value
                )
            }
        }
        section.finish()
        let needed = Duration.milliseconds(warm.top * 1000 / warm.rate)
        if needed > ttl {
            findings.add(
                "`\(model).warm` takes up to \(Units.text(needed)) for \(warm.top) inputs at \(warm.rate)/s, but answers are kept for \(Units.text(ttl)): lower `top`, or raise `rate` or `ttl`",
                at: node
            )
        }
        return warm
    }
}
