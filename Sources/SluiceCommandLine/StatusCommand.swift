import ArgumentParser
import SluiceWire

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "A table: models, revisions, traffic, health, requests, errors and latency.",
        discussion: """
            Rates, errors, percentiles and cache hits are of the last five seconds; totals are in
            /metrics. `sluice top` keeps the table on the screen.
            """
    )

    @Argument(help: "Show this model only.")
    var model: String?

    @OptionGroup var options: AdminOptions

    func run() throws {
        do throws(HTTPClient.Failure) {
            let document = try AdminClient(options: options).models(model)
            guard !options.json else {
                print(String(decoding: document.serialized, as: UTF8.self))
                return
            }
            let models = document["models"]?.elements ?? [document]
            print(StatusTable.text(models))
            for line in StatusTable.troubles(models) { print(line) }
            for trouble in document["redis"]?["troubles"]?.elements ?? [] {
                let (use, message) = (trouble["use"]?.text ?? "", trouble["message"]?.text ?? "")
                print("redis: \(use): \(message)")
            }
            for line in models.flatMap(LimitText.lines) { print(line) }
            for model in models {
                guard let rollout = model["rollout"], rollout != .null else { continue }
                print(RolloutText.line(rollout, model: model["name"]?.text ?? "-"))
            }
        } catch {
            Terminal.complain("sluice status: \(error.sentence)")
            throw ExitCode(1)
        }
    }
}

extension AdminClient {
    /// The state of one model, or of all under `models`.
    func models(_ name: String?) throws(HTTPClient.Failure) -> JSONValue {
        let path = "/api/v1/models"
        let document = try call("GET", name.map { "\(path)/\(AdminClient.segment($0))" } ?? path)
        guard document[name == nil ? "models" : "revisions"]?.elements != nil else {
            throw unknownName(status: 200)
        }
        return document
    }
}
