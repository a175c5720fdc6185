import SluiceConfiguration
import SluiceCore
package import SluiceRouting
package import SluiceWire

// Plans as the admin API takes them and the state file keeps them: the configuration's keys.
extension RolloutPlan {
    /// What is wrong with a plan in JSON.
    package struct Failure: Error, Sendable {
        /// The key, what it must be, what it is not.
        package let sentence: String
    }

    /// Takes the members of `json` over what the plan says; others stay.
    ///
    /// - Parameters:
    ///   - json: an object with the configuration's keys; percentages are numbers, times text.
    ///   - isStrict: refuses keys that mean nothing, as a caller wants to hear of a slip; a state
    ///     file of another version may well have some.
    /// - Throws: a sentence for the first member, or the whole plan, that can't be meant.
    package mutating func take(_ json: JSONValue, isStrict: Bool) throws(Failure) {
        guard case .object(let members) = json else {
            throw Failure(
                sentence:
                    "a plan is an object, such as {\"revision\": \"v2\", \"steps\": [1, 10, 100]}"
            )
        }
        var saysP99 = false
        for member in members {
            let (key, value) = (member.name, member.value)
            switch key {
            case "revision": revision = try RolloutPlan.text(key, value)
            case "baseline":
                baseline = value == .null ? nil : try RolloutPlan.text(key, value)
            case "steps":
                guard let elements = value.elements else {
                    throw Failure(
                        sentence: "`steps` must be a list of percentages, such as [1, 100]"
                    )
                }
                var points: [Int] = []
                for element in elements { points.append(try RolloutPlan.points(key, element)) }
                steps = points
            case "interval":
                interval = value == .null ? nil : try RolloutPlan.duration(key, value)
            case "successMargin": successMargin = try RolloutPlan.points(key, value)
            case "successFloor": successFloor = try RolloutPlan.points(key, value)
            case "p95Ratio": p95Ratio = try RolloutPlan.ratio(key, value)
            case "p99Ratio": p99Ratio = try RolloutPlan.ratio(key, value)
            case "maxP99": maxP99 = value == .null ? nil : try RolloutPlan.duration(key, value)
            case "minRequests": minRequests = try RolloutPlan.count(key, value)
            case "minRequestsP99":
                minRequestsP99 = try RolloutPlan.count(key, value)
                saysP99 = true
            case "failureLimit": failureLimit = try RolloutPlan.count(key, value)
            case "stalledAfter": stalledAfter = try RolloutPlan.count(key, value)
            case "autoStart": autoStart = value.flag ?? false
            default:
                if isStrict { throw Failure(sentence: "unknown key `\(key)`; known: \(known)") }
            }
        }
        // Who raises one means the other as well.
        if !saysP99 { minRequestsP99 = max(minRequestsP99, minRequests) }
        if let problem { throw Failure(sentence: "`\(problem.key)` \(problem.sentence)") }
    }

    private var known: String {
        guard case .object(let members) = json else { return "" }
        return members.map(\.name).joined(separator: ", ")
    }

    /// The plan with all its keys.
    package var json: JSONValue {
        func time(_ duration: Duration?) -> JSONValue {
            duration.map { .string(Configuration.text($0)) } ?? .null
        }
        func percent(_ points: Int) -> JSONValue { .number(Configuration.percent(points)) }
        return .object([
            .init("revision", .string(revision)),
            .init("baseline", baseline.map { .string($0) } ?? .null),
            .init("steps", .array(steps.map(percent))),
            .init("interval", time(interval)),
            .init("successMargin", percent(successMargin)),
            .init("successFloor", percent(successFloor)),
            .init("p95Ratio", .number("\(p95Ratio)")),
            .init("p99Ratio", .number("\(p99Ratio)")),
            .init("maxP99", time(maxP99)),
            .init("minRequests", .number("\(minRequests)")),
            .init("minRequestsP99", .number("\(minRequestsP99)")),
            .init("failureLimit", .number("\(failureLimit)")),
            .init("stalledAfter", .number("\(stalledAfter)")),
            .init("autoStart", .bool(autoStart)),
        ])
    }

    private static func text(_ key: String, _ value: JSONValue) throws(Failure) -> String {
        guard let text = value.text, !text.isEmpty else {
            throw Failure(sentence: "`\(key)` must be text")
        }
        return text
    }

    private static func points(_ key: String, _ value: JSONValue) throws(Failure) -> Int {
        guard case .number(let text) = value, let points = Configuration.basisPoints(text) else {
            throw Failure(
                sentence: "`\(key)` takes percentages from 0 to 100 with up to two decimals"
            )
        }
        return points
    }

    private static func duration(_ key: String, _ value: JSONValue) throws(Failure) -> Duration {
        guard let duration = value.text.flatMap({ Configuration.duration($0) }) else {
            throw Failure(sentence: "`\(key)` must be a time such as \"250ms\", \"30s\" or \"5m\"")
        }
        return duration
    }

    private static func ratio(_ key: String, _ value: JSONValue) throws(Failure) -> Double {
        guard let ratio = value.double, ratio.isFinite else {
            throw Failure(sentence: "`\(key)` must be a number such as 1.2")
        }
        return ratio
    }

    private static func count(_ key: String, _ value: JSONValue) throws(Failure) -> Int {
        guard let count = value.integer else {
            throw Failure(sentence: "`\(key)` must be a whole number")
        }
        return count
    }
}
