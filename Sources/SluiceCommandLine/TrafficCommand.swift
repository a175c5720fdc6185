import ArgumentParser
import Foundation
import SluiceWire

struct TrafficCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "traffic",
        abstract: "Shifts a model's traffic between its revisions.",
        discussion: """
            Prints the weights before and after; every worker uses the new ones when it returns.
            A revision that isn't named gets none. Without weights it prints those in force.
            Where the model has `cache.warm`, a revision's first weight waits until it is warm.

              sluice traffic iris v1=90 v2=10
              sluice traffic iris v1=90 v2=10 --dry-run
              sluice traffic iris --reset
            """
    )

    @Argument(help: "The model.")
    var model: String

    @Argument(
        help: ArgumentHelp("Weights in percent; they sum to 100.", valueName: "REVISION=PERCENT")
    )
    var weights: [String] = []

    @Flag(name: .long, help: "Back to the weights of the configuration file.")
    var reset = false

    @Flag(name: .long, help: "Say what would change, and change nothing.")
    var dryRun = false

    @Flag(
        name: .long,
        inversion: .prefixedNo,
        help: "Warm the cache of a revision that takes traffic for the first time."
    )
    var warm = true

    @OptionGroup var options: AdminOptions

    func validate() throws {
        guard !reset || weights.isEmpty && !dryRun else {
            throw ValidationError("--reset takes neither weights nor --dry-run")
        }
        for text in weights where text.split(separator: "=").count != 2 {
            throw ValidationError("a weight is REVISION=PERCENT, such as v2=10, not '\(text)'")
        }
    }

    func run() throws {
        do throws(HTTPClient.Failure) {
            let client = AdminClient(options: options)
            let path = "/api/v1/models/\(AdminClient.segment(model))"
            let before = try client.call("GET", path)
            let after: JSONValue
            if reset {
                after = try WarmingScreen(client, path, before).during {
                    () throws(HTTPClient.Failure) in
                    try client.call(
                        "DELETE",
                        path + "/traffic" + (warm ? "" : "?warm=false"),
                        timeout: AdminClient.requestTimeout
                    )
                }
            } else if weights.isEmpty {
                after = before
            } else {
                // What was seen is what is moved: somebody else's shift in between is refused.
                let seen = before["generation"]?.integer ?? 0
                let body = try TrafficCommand.body(weights)
                after = try WarmingScreen(client, path, before).during {
                    () throws(HTTPClient.Failure) in
                    try client.call(
                        "PUT",
                        path + "/traffic?dryRun=\(dryRun)&warm=\(warm)",
                        fields: [("if-match", "\"\(seen)\"")],
                        body: body,
                        timeout: AdminClient.requestTimeout
                    )
                }
            }
            show(before, after)
        } catch {
            Terminal.complain("sluice traffic: \(error.sentence)")
            throw ExitCode(1)
        }
    }

    /// What the admin API is told of weights as they were typed.
    static func body(_ weights: [String]) throws(HTTPClient.Failure) -> JSONValue {
        var members: [JSONValue.Member] = []
        for text in weights {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard Double(parts[1]) != nil else {
                throw HTTPClient.Failure(
                    sentence: "'\(parts[1])' is not a percentage, such as 10 or 0.5"
                )
            }
            members.append(.init(parts[0], .number(parts[1])))
        }
        return .object(members)
    }

    private func show(_ before: JSONValue, _ after: JSONValue) {
        if options.json {
            print(String(decoding: after.serialized, as: UTF8.self))
            return
        }
        print(TrafficCommand.table(before, after, isShift: !weights.isEmpty || reset))
        for note in after["notes"]?.elements ?? [] {
            if let text = note.text { Terminal.complain("note: \(text)") }
        }
    }

    /// A row for each revision, with its weight before a shift and after; alike, where nothing is shifted.
    static func table(_ before: JSONValue, _ after: JSONValue, isShift: Bool) -> String {
        let old = before["revisions"]?.elements ?? []
        var rows = [
            isShift ? ["REVISION", "BEFORE", "AFTER"] : ["REVISION", "TRAFFIC"]
        ]
        for revision in after["revisions"]?.elements ?? [] {
            let name = revision["name"]?.text ?? "-"
            let was = old.first { $0["name"]?.text == name }
            var cells = [name, TrafficCommand.percent(was)]
            if isShift { cells.append(TrafficCommand.percent(revision)) }
            rows.append(cells)
        }
        return Terminal.table(rows)
    }

    private static func percent(_ revision: JSONValue?) -> String {
        String(format: "%g %%", revision?["traffic"]?.double ?? 0)
    }
}
