// What has changed
// ----------------
// All listeners share one list of models. Each look at the gateway compares every model's line with
// the one before; a line that differs gets the number of the look. A listener remembers the number
// of the look of which it was told a line; the line is news to it while the list's number is higher.
// So a frame costs the lines that are shown and new, whatever else there is, and a frame that a slow
// listener misses needs no queue: the next one is made of what is news then.
//
// A ranking is shared by all listeners with the same query. By name or place it changes when models
// come and go, by health at once, and by numbers that never rest every few seconds: a list whose rows
// change places each second can't be read.

package import SluiceControl
package import SluiceCore
import SluiceWire

/// All models' lines, and the look that last found each of them changed.
package struct ModelList {
    private struct Line {
        var summary: ModelSummary
        var changed: Int
        var text: [UInt8]?
    }

    private struct Ranking {
        var places: [Int]
        var made: Instant
        var set: Int
        var used: Int
    }

    /// Counts the looks, from 1.
    package private(set) var look = 0
    package private(set) var totals = ModelTotals()

    private var lines: [Line] = []
    private var places: [String: Int] = [:]
    private var searchTexts: [[UInt8]] = []
    private var rankings: [ModelQuery: Ranking] = [:]
    // Counts the changes of names and of what is searched.
    private var set = 0

    /// How long a ranking by numbers holds.
    package static let rankingLife = Duration.seconds(5)

    /// Looks that a ranking is kept without being asked for.
    private static let rankingMemory = 10

    /// A list before the first look.
    package init() {}

    /// How many models there are.
    package var count: Int { lines.count }

    /// Takes the models as they are now.
    ///
    /// - Parameters:
    ///   - summaries: all models, in the file's order.
    ///   - texts: what a search looks into, by model, where that may have changed; else nil.
    package mutating func update(_ summaries: [ModelSummary], searchTexts texts: [[UInt8]]?) {
        look += 1
        totals = ModelTotals()
        let isSame =
            summaries.count == lines.count
            && zip(summaries, lines).allSatisfy { $0.name == $1.summary.name }
        if !isSame { replace(summaries) }
        for (place, summary) in summaries.enumerated() {
            totals.add(summary)
            guard lines[place].summary != summary else { continue }
            lines[place] = Line(summary: summary, changed: look)
        }
        if let texts {
            precondition(texts.count == lines.count, "each model has a text to search")
            if !isSame || texts != searchTexts { set += 1 }
            searchTexts = texts
        } else {
            precondition(isSame, "other models have other texts")
        }
        rankings = rankings.filter { look - $0.value.used < ModelList.rankingMemory }
    }

    private mutating func replace(_ summaries: [ModelSummary]) {
        let old = (lines, places)
        lines = summaries.map { summary in
            old.1[summary.name].map { old.0[$0] } ?? Line(summary: summary, changed: look)
        }
        places = [:]
        for (place, summary) in summaries.enumerated() { places[summary.name] = place }
    }

    /// The model's place; nil if there is none of this name.
    package func place(of name: String) -> Int? { places[name] }

    /// The name of the model at `place`.
    package func name(at place: Int) -> String { lines[place].summary.name }

    /// The look that found the model's line changed.
    package func changed(at place: Int) -> Int { lines[place].changed }

    /// The model's line as JSON; made once for all who are told.
    package mutating func text(at place: Int) -> [UInt8] {
        if let text = lines[place].text { return text }
        let text = lines[place].summary.json.serialized
        lines[place].text = text
        return text
    }

    // MARK: - Ranking

    /// The places of the models that the query finds, in its order.
    package mutating func ranking(_ query: ModelQuery, at now: Instant) -> [Int] {
        if var known = rankings[query], known.set == set, isFresh(known, query.sort, now) {
            known.used = look
            rankings[query] = known
            return known.places
        }
        var found = Array(lines.indices)
        if !query.words.isEmpty { found = found.filter { query.matches(searchTexts[$0]) } }
        sort(&found, by: query.sort)
        rankings[query] = Ranking(places: found, made: now, set: set, used: look)
        return found
    }

    private func isFresh(_ ranking: Ranking, _ sort: ModelSort, _ now: Instant) -> Bool {
        switch sort {
        case .configuration, .name: true
        case .health: ranking.used == look
        case .requests, .errors, .latency: now < ranking.made + ModelList.rankingLife
        }
    }

    private func sort(_ places: inout [Int], by sort: ModelSort) {
        switch sort {
        case .configuration: break
        case .name:
            places.sort { lines[$0].summary.name < lines[$1].summary.name }
        case .requests: largest(&places) { $0.requestsPerSecond }
        case .errors: largest(&places) { $0.errorRatio ?? -1 }
        case .latency: largest(&places) { $0.p99Seconds ?? -1 }
        case .health: largest(&places) { Double($0.severity) }
        }
    }

    // Equals stay in the file's order.
    private func largest(_ places: inout [Int], _ number: (ModelSummary) -> Double) {
        var keys: [(number: Double, place: Int)] = places.map { (number(lines[$0].summary), $0) }
        keys.sort { $0.number != $1.number ? $0.number > $1.number : $0.place < $1.place }
        places = keys.map(\.place)
    }
}
