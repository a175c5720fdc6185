import ArgumentParser
import Foundation
import SluiceWire

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "A table: models, revisions, traffic, health, requests, errors and latency.",
        discussion: "Rates and percentiles are of the last second; totals are in /metrics."
    )

    @Argument(help: "Show this model only.")
    var model: String?

    @Option(name: .long, help: "Where the admin API is.")
    var admin = "http://127.0.0.1:9901"

    @Flag(name: .long, help: "Print the admin API's JSON.")
    var json = false

    func run() throws {
        do throws(HTTPClient.Failure) {
            let path = model.map { "/api/v1/models/\($0)" } ?? "/api/v1/models"
            let answer = try get(path)
            guard !json else {
                print(String(decoding: answer, as: UTF8.self))
                return
            }
            let document: JSONValue
            do throws(JSONFailure) {
                document = try JSONParser.parse(answer)
            } catch {
                throw HTTPClient.Failure(sentence: "\(admin) doesn't answer like Sluice")
            }
            let before = Scrape(text: String(decoding: try get("/metrics"), as: UTF8.self))
            Thread.sleep(forTimeInterval: 1)
            let after = Scrape(text: String(decoding: try get("/metrics"), as: UTF8.self))
            let models = document["models"]?.elements ?? [document]
            print(Terminal.table(rows(models, after.minus(before))))
        } catch {
            Terminal.complain("sluice status: \(error.sentence)")
            throw ExitCode(1)
        }
    }

    private func get(_ path: String) throws(HTTPClient.Failure) -> [UInt8] {
        let answer = try HTTPClient().send(to: admin, method: "GET", path: path)
        guard answer.status == 200 else {
            let text = try? JSONParser.parse(answer.body)["error"]?.text
            throw HTTPClient.Failure(sentence: text ?? "HTTP \(answer.status) from \(admin)\(path)")
        }
        return answer.body
    }

    private func rows(_ models: [JSONValue], _ window: Scrape) -> [[String]] {
        var rows = [
            [
                "MODEL", "REVISION", "TRAFFIC", "BACKENDS", "IN FLIGHT", "REQ/S", "ERRORS", "P50",
                "P99", "CACHE HITS",
            ]
        ]
        for model in models {
            let name = model["name"]?.text ?? "-"
            for revision in model["revisions"]?.elements ?? [] {
                let label = revision["name"]?.text ?? "-"
                let backends = revision["backends"]?.elements ?? []
                let up = backends.count { $0["health"]?.text == "up" }
                let ejected = backends.count { $0["health"]?.text == "ejected" }
                let queued = revision["queued"]?.integer ?? 0
                let flying = backends.reduce(0) { $0 + ($1["inFlight"]?.integer ?? 0) }
                let seen = window.requests(name, label)
                let traffic = revision["traffic"]?.double ?? 0
                rows.append([
                    name, label, String(format: "%g %%", traffic),
                    "\(up)/\(backends.count) up" + (ejected > 0 ? ", \(ejected) ejected" : ""),
                    "\(flying)" + (queued > 0 ? " + \(queued) queued" : ""), "\(seen.total)",
                    seen.total == 0
                        ? "-"
                        : String(format: "%.1f %%", 100 * Double(seen.errors) / Double(seen.total)),
                    window.quantile(0.5, name, label), window.quantile(0.99, name, label),
                    window.hitRatio(name),
                ])
            }
        }
        return rows
    }
}

/// Numbers read from Prometheus text, by series.
struct Scrape {
    private var values: [String: Double] = [:]

    init(text: String) {
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            guard let space = line.lastIndex(of: " "),
                let value = Double(line[line.index(after: space)...])
            else { continue }
            values[String(line[..<space])] = value
        }
    }

    /// What has come since `earlier`.
    func minus(_ earlier: Scrape) -> Scrape {
        var result = self
        for (series, value) in values {
            result.values[series] = value - (earlier.values[series] ?? 0)
        }
        return result
    }

    /// Requests of a revision, and those that failed on our side or the backend's.
    func requests(_ model: String, _ revision: String) -> (total: Int, errors: Int) {
        var (total, errors) = (0.0, 0.0)
        for (series, value) in values
        where series.hasPrefix("sluice_requests_total{")
            && series.contains("model=\"\(model)\"")
            && series.contains("revision=\"\(revision)\"")
        {
            total += value
            let code = series.components(separatedBy: "code=\"").last?.prefix { $0 != "\"" } ?? ""
            let isServerError =
                code.hasPrefix("5")
                || ["INTERNAL", "UNAVAILABLE", "UNKNOWN", "DEADLINE_EXCEEDED", "DATA_LOSS"]
                    .contains(String(code))
            if isServerError { errors += value }
        }
        return (Int(total), Int(errors))
    }

    /// The share of a model's look-ups that either tier answered, all revisions together.
    func hitRatio(_ model: String) -> String {
        var (hits, all) = (0.0, 0.0)
        for (series, value) in values
        where series.hasPrefix("sluice_cache_requests_total{")
            && series.contains("model=\"\(model)\"")
        {
            let isHit = series.contains("result=\"hit\"")
            if isHit { hits += value }
            // What misses tier 1 is counted there; tier 2 only turns misses into hits.
            if series.contains("tier=\"memory\""),
                isHit || series.contains("result=\"miss\"")
            {
                all += value
            }
        }
        return all == 0 ? "-" : String(format: "%.1f %%", 100 * hits / all)
    }

    /// A quantile of request durations, from the histogram's buckets.
    func quantile(_ share: Double, _ model: String, _ revision: String) -> String {
        var buckets: [Double: Double] = [:]
        for (series, value) in values
        where series.hasPrefix("sluice_request_duration_seconds_bucket{")
            && series.contains("model=\"\(model)\"")
            && series.contains("revision=\"\(revision)\"")
        {
            let text = series.components(separatedBy: "le=\"").last?.prefix { $0 != "\"" } ?? ""
            buckets[text == "+Inf" ? .infinity : Double(text) ?? .infinity, default: 0] += value
        }
        let total = buckets[.infinity] ?? 0
        guard total > 0 else { return "-" }
        var (lower, below) = (0.0, 0.0)
        for (bound, count) in buckets.sorted(by: { $0.key < $1.key }) {
            if count >= share * total {
                guard bound.isFinite else { return String(format: ">%g s", lower) }
                let inside = count > below ? (share * total - below) / (count - below) : 1
                return String(format: "%.1f ms", 1000 * (lower + inside * (bound - lower)))
            }
            (lower, below) = (bound, count)
        }
        return "-"
    }
}
