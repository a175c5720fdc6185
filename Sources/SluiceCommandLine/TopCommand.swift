import ArgumentParser
import Foundation
import SluiceWire

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "The table of `sluice status`, live; q or Ctrl-C ends it.",
        discussion: "Into a file or a pipe it writes the table again and again, with the time."
    )

    @Argument(help: "Show this model only.")
    var model: String?

    @Option(name: .long, help: "Seconds between two looks.")
    var interval = 1.0

    @OptionGroup var options: AdminOptions

    func validate() throws {
        guard interval >= 0.1, interval <= 3600 else {
            throw ValidationError("--interval is a number of seconds from 0.1 to 3600")
        }
    }

    func run() throws {
        guard !options.json, let screen = LiveScreen() else {
            try runPlainly()
            return
        }
        var frame = TopFrame()
        repeat {
            frame.look(self, width: screen.size.columns)
            screen.draw(frame.lines)
        } while screen.wait(seconds: interval)
    }

    /// For pipes: what can't be asked ends it, so that a script notices.
    private func runPlainly() throws {
        while true {
            do throws(HTTPClient.Failure) {
                let document = try AdminClient(options: options).models(model)
                if options.json {
                    print(String(decoding: document.serialized, as: UTF8.self))
                } else {
                    print(TopFrame.time())
                    let models = document["models"]?.elements ?? [document]
                    print(StatusTable.text(models), terminator: "\n\n")
                }
            } catch {
                Terminal.complain("sluice top: \(error.sentence)")
                throw ExitCode(1)
            }
            Terminal.flush()
            Thread.sleep(forTimeInterval: interval)
        }
    }
}

/// What is on the screen: the last table that was had, the last events, and what went wrong since.
struct TopFrame {
    private var table: [String] = []
    private var heading = ""
    private var events: [String] = []
    /// The number of the newest event that was shown.
    private(set) var lastEvent = 0
    private var trouble: String?

    /// How many events stand below the table.
    private static let eventCount = 6

    var lines: [String] {
        var lines = ["\u{1B}[1m\(heading)\u{1B}[0m", ""]
        if let trouble { lines[1] = "\u{1B}[31m\(trouble)\u{1B}[0m" }
        for (index, row) in table.enumerated() {
            lines.append(index == 0 ? "\u{1B}[7m\(row)\u{1B}[0m" : row)
        }
        if !events.isEmpty { lines += [""] + events }
        return lines
    }

    mutating func look(_ command: TopCommand, width: Int) {
        do throws(HTTPClient.Failure) {
            let client = AdminClient(options: command.options)
            let document = try client.models(command.model)
            let news = try client.call("GET", "/api/v1/events?since=\(lastEvent)")
            take(document, news, from: command.options.admin, width: width)
        } catch {
            failed(error.sentence, at: command.options.admin)
        }
    }

    /// Shows what the admin API at `admin` said of models, and of events since the last look.
    mutating func take(_ document: JSONValue, _ news: JSONValue, from admin: String, width: Int) {
        let models = document["models"]?.elements ?? [document]
        table = StatusTable.text(models, width: width).split(separator: "\n").map(String.init)
        table += models.flatMap(LimitText.lines)
        for model in models {
            guard let rollout = model["rollout"], rollout != .null else { continue }
            table.append(RolloutText.line(rollout, model: StatusTable.visible(model["name"])))
        }
        let generation = document["generation"]?.integer ?? 0
        heading = "sluice \(admin)  generation \(generation)  \(TopFrame.time())"
        for event in news["events"]?.elements ?? [] {
            lastEvent = max(lastEvent, event["id"]?.integer ?? 0)
            let time = TopFrame.time(of: event["time"]?.text ?? "")
            let who = StatusTable.visible(event["who"])
            events.append("\(time)  \(StatusTable.visible(event["message"])) (\(who))")
        }
        events = events.suffix(TopFrame.eventCount)
        trouble = nil
    }

    /// Keeps what was shown, and says above it why it is old.
    mutating func failed(_ sentence: String, at admin: String) {
        if heading.isEmpty { heading = "sluice \(admin)" }
        trouble = "\(sentence); what stands here is older"
    }

    /// The time of day, here.
    static func time(_ date: Date = Date()) -> String {
        let format = DateFormatter()
        format.dateFormat = "HH:mm:ss"
        return format.string(from: date)
    }

    private static func time(of text: String) -> String {
        let format = ISO8601DateFormatter()
        format.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        return format.date(from: text).map { time($0) } ?? "-"
    }
}
