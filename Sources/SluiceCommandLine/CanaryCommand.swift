import ArgumentParser
import Foundation
import SluiceWire

struct CanaryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "canary",
        abstract: "Rolls a revision out step by step, forward on evidence and back on trouble.",
        discussion: """
            At each step the canary's backend answers are compared with the baseline's over the same
            time: share of good answers, 95th and 99th percentile. Two failed checks in a row give
            the baseline its traffic back; too few answers wait.

              sluice canary start iris v2
              sluice canary start iris v2 --steps 1,10,50,100 --interval 5m
              sluice canary status iris --watch
            """,
        subcommands: [
            CanaryStart.self, CanaryStatus.self, CanaryPause.self, CanaryResume.self,
            CanaryPromote.self, CanaryAbort.self,
        ]
    )
}

/// A model's rollout by the admin API.
struct CanaryClient {
    let model: String
    let options: AdminOptions

    /// Calls, and prints how the rollout stands then; `name` is the command's.
    func run(_ name: String, _ method: String, _ rest: String = "", body: JSONValue? = nil) throws {
        do throws(HTTPClient.Failure) {
            show(try call(method, rest, body: body))
        } catch {
            Terminal.complain("sluice canary \(name): \(error.sentence)")
            throw ExitCode(1)
        }
    }

    func call(
        _ method: String,
        _ rest: String = "",
        body: JSONValue? = nil
    ) throws(HTTPClient.Failure) -> JSONValue {
        try AdminClient(options: options).call(
            method,
            "/api/v1/models/\(AdminClient.segment(model))/canary" + rest,
            body: body,
            // A first step waits until the revision's cache is warm.
            timeout: method == "GET" ? .seconds(30) : AdminClient.requestTimeout
        )
    }

    func show(_ rollout: JSONValue) {
        print(
            options.json
                ? String(decoding: rollout.serialized, as: UTF8.self)
                : RolloutText.full(rollout, model: model)
        )
    }
}

struct CanaryStart: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Starts a rollout, by the model's `rollout` in the configuration if it has one.",
        discussion: "What isn't said here is as the configuration says, or else the default."
    )

    @Argument(help: "The model.")
    var model: String

    @Argument(help: "The revision that is to take over.")
    var revision: String?

    @Option(name: .long, help: "The revision to compare with; otherwise the one with most traffic.")
    var baseline: String?

    @Option(name: .long, help: "Percentages, rising to 100, as in 1,5,25,100.")
    var steps: String?

    @Option(name: .long, help: "Between two checks, as in 60s.")
    var interval: String?

    @Option(name: .long, help: "Percentage points by which success may be below the baseline's.")
    var successMargin: Double?

    @Option(
        name: .long,
        help: "The success in percent that is asked for where the baseline has it."
    )
    var successFloor: Double?

    @Option(name: .long, help: "The 95th percentile is at most this many times the baseline's.")
    var p95Ratio: Double?

    @Option(name: .long, help: "The 99th percentile is at most this many times the baseline's.")
    var p99Ratio: Double?

    @Option(name: .long, help: "The 99th percentile is at most this, as in 250ms.")
    var maxP99: String?

    @Option(name: .long, help: "Answers of either revision that a check takes.")
    var minRequests: Int?

    @Option(name: .long, help: "Answers of either revision that judging the 99th percentile takes.")
    var minRequestsP99: Int?

    @Option(name: .long, help: "Failed checks in a row that roll back.")
    var failureLimit: Int?

    @Option(name: .long, help: "Checks without enough answers after which it is reported.")
    var stalledAfter: Int?

    @OptionGroup var options: AdminOptions

    func validate() throws {
        for part in steps?.split(separator: ",") ?? [] where Double(part) == nil {
            throw ValidationError("--steps are percentages such as 1,5,25,100, not '\(part)'")
        }
    }

    func run() throws {
        var members: [JSONValue.Member] = []
        for (key, text) in [
            ("revision", revision), ("baseline", baseline), ("interval", interval),
            ("maxP99", maxP99),
        ] {
            if let text { members.append(.init(key, .string(text))) }
        }
        if let steps {
            let numbers = steps.split(separator: ",").map { JSONValue.number(String($0)) }
            members.append(.init("steps", .array(numbers)))
        }
        for (key, number) in [
            ("successMargin", successMargin), ("successFloor", successFloor),
            ("p95Ratio", p95Ratio), ("p99Ratio", p99Ratio),
        ] {
            if let number { members.append(.init(key, .number(String(format: "%g", number)))) }
        }
        for (key, number) in [
            ("minRequests", minRequests), ("minRequestsP99", minRequestsP99),
            ("failureLimit", failureLimit), ("stalledAfter", stalledAfter),
        ] {
            if let number { members.append(.init(key, .number("\(number)"))) }
        }
        try CanaryClient(model: model, options: options)
            .run("start", "POST", body: .object(members))
    }
}

struct CanaryStatus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows how a rollout stands: step, gates with their numbers, why it holds."
    )

    @Argument(help: "The model.")
    var model: String

    @Flag(
        name: .long,
        help: "Shows it every second until it is over; ends 1 if it was rolled back."
    )
    var watch = false

    @OptionGroup var options: AdminOptions

    func run() throws {
        let client = CanaryClient(model: model, options: options)
        guard watch else {
            try client.run("status", "GET")
            return
        }
        do throws(HTTPClient.Failure) {
            while true {
                let rollout = try client.call("GET")
                client.show(rollout)
                switch rollout["status"]?.text {
                case "promoted": return
                case "rolledBack": throw HTTPClient.Failure(sentence: "the rollout was rolled back")
                default: break
                }
                if !options.json { print("") }
                Thread.sleep(forTimeInterval: 1)
            }
        } catch {
            Terminal.complain("sluice canary status: \(error.sentence)")
            throw ExitCode(1)
        }
    }
}

struct CanaryPause: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Stays at the present step; an emergency still rolls back."
    )

    @Argument(help: "The model.")
    var model: String

    @OptionGroup var options: AdminOptions

    func run() throws {
        try CanaryClient(model: model, options: options).run("pause", "POST", "/pause")
    }
}

struct CanaryResume: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Goes on from the step that the canary's traffic has reached."
    )

    @Argument(help: "The model.")
    var model: String

    @OptionGroup var options: AdminOptions

    func run() throws {
        try CanaryClient(model: model, options: options).run("resume", "POST", "/resume")
    }
}

struct CanaryPromote: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Gives the canary all the traffic now, whatever the gates say."
    )

    @Argument(help: "The model.")
    var model: String

    @OptionGroup var options: AdminOptions

    func run() throws {
        try CanaryClient(model: model, options: options).run("promote", "POST", "/promote")
    }
}

struct CanaryAbort: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "abort",
        abstract: "Gives the baseline its traffic back."
    )

    @Argument(help: "The model.")
    var model: String

    @OptionGroup var options: AdminOptions

    func run() throws {
        try CanaryClient(model: model, options: options).run("abort", "DELETE")
    }
}
