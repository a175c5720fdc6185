// Warm first, then shift
// ----------------------
// A shift that gives weight to a revision without any, of a model with `cache.warm`, is checked at once
// and then waits until the revision has answered the model's hottest inputs. The coordinator's thread doesn't:
//
//   shift ──checked, cold revision──► waits ──all runs over──► made, with the generation seen before
//                                      │ └────a revision fails─────► refused
//                                      │ └────another shift comes──► refused, and that one goes on
//                                      └──────cancelled────────────► refused
//
// All this happens on the coordinator's thread; what is waiting lies behind a lock only because runs are looked
// at from elsewhere.
import SluiceCache
import SluiceConfiguration
package import SluiceGateway
import SluiceRouting
import Synchronization

extension ChangeCoordinator {
    /// Has `warmer` fill the caches of revisions that take weight for the first time.
    package func use(_ warmer: any Warmer) { self.warmer.withLock { $0 = warmer } }

    /// How far the last warm-up of a revision is; nil where there was none.
    package func warmth(model: String, revision: String) -> WarmupRun.Progress? {
        warming.withLock { $0.runs[model]?[revision]?.progress }
    }

    /// What is being warmed now: model, revision and how far it is.
    package var warmed: [(model: String, revision: String, progress: WarmupRun.Progress)] {
        warming.withLock { warming in
            warming.runs.flatMap { model, runs in
                runs.map { (model, $0.key, $0.value.progress) }
            }
        }.filter { $0.progress.end == nil }
    }

    /// Gives up a model's shift that waits for a warm-up, if there is one.
    package func cancelWarmUp(of model: String, by who: String) {
        loop.submit { [self] in
            supersede(model, "\(who) cancelled the warm-up; the weights have not moved")
        }
    }

    /// Gives up a revision's warm-up and the shift that waits for it; tells how far it was, or nil where
    /// none was under way.
    package func cancelWarmUp(
        of model: String,
        revision: String,
        by who: String,
        then: @escaping @Sendable (WarmupRun.Progress?) -> Void
    ) {
        loop.submit { [self] in
            let run = warming.withLock { $0.runs[model]?[revision] }
            guard let run, run.progress.end == nil else {
                then(nil)
                return
            }
            if warming.withLock({ $0.shifts[model]?.runs.contains { $0 === run } }) == true {
                supersede(model, "\(who) cancelled the warm-up; the weights have not moved")
            }
            run.cancel()
            then(run.progress)
        }
    }

    // MARK: - Shifts

    /// Whether `change` waits for a warm-up now; then `then` is called when that is over.
    func waits(
        _ change: Change,
        by who: String,
        then: @escaping @Sendable (Result<Applied, ChangeError>) -> Void
    ) throws(ChangeError) -> Bool {
        guard let (shift, cold) = try coldShift(change) else { return false }
        supersede(
            shift.model,
            "superseded by a shift of \(who) while the caches were warmed; the weights have not moved"
        )
        guard shift.isWarmed, !cold.isEmpty else { return false }
        var waiting = Warming.Shift(
            shift: shift,
            who: who,
            number: warming.withLock { warming in
                warming.count += 1
                return warming.count
            },
            left: cold.count,
            then: then
        )
        waiting.shift.isWarmed = false
        // Whoever moves the model meanwhile is not undone.
        waiting.shift.seenGeneration = snapshot.generation
        warming.withLock { [waiting] in $0.shifts[shift.model] = waiting }
        let number = waiting.number
        for revision in cold {
            let run = warm(shift.model, revision, by: who) { [weak self] progress in
                self?.loop.submit { [weak self] in
                    self?.warmed(revision, for: shift.model, number, progress)
                }
            }
            guard let run else {
                loop.submit { [weak self] in self?.warmed(revision, for: shift.model, number, nil) }
                continue
            }
            warming.withLock { $0.shifts[shift.model]?.runs.append(run) }
        }
        return true
    }

    /// The shift that `change` is, checked, and the revisions for which it is the first weight; nil for
    /// any other change, one that changes nothing, and a dry run.
    private func coldShift(
        _ change: Change
    ) throws(ChangeError) -> (shift: TrafficShift, cold: [String])? {
        var shift: TrafficShift
        switch change {
        case .shift(let wanted): shift = wanted
        case .unshift(let model, let isWarmed):
            shift = try configuredShift(of: model)
            shift.isWarmed = isWarmed
        default: return nil
        }
        guard !shift.isDryRun else { return nil }
        var trial = shift
        trial.isDryRun = true
        _ = try self.shift(trial, by: "")
        let model = snapshot.models.first { $0.name == shift.model }
        guard let model, model.cache?.warm != nil else { return (shift, []) }
        let cold = model.revisions.enumerated().filter { place, revision in
            model.split.weights[place] == 0 && shift.weights[revision.name, default: 0] > 0
                && revision.canServe
        }
        return (shift, cold.map(\.element.name))
    }

    /// Refuses the model's shift that waits, if there is one.
    private func supersede(_ model: String, _ sentence: String) {
        let waiting = warming.withLock { $0.shifts.removeValue(forKey: model) }
        guard let waiting else { return }
        for run in waiting.runs { run.cancel() }
        waiting.then(.failure(ChangeError(.conflict, sentence)))
    }

    /// A revision that a shift waits for is warm, or won't be.
    private func warmed(
        _ revision: String,
        for model: String,
        _ number: Int,
        _ progress: WarmupRun.Progress?
    ) {
        let waiting = warming.withLock { warming -> Warming.Shift? in
            guard var waiting = warming.shifts[model], waiting.number == number else { return nil }
            waiting.left -= 1
            if let progress { waiting.notes.append(progress.note(of: revision)) }
            warming.shifts[model] = waiting
            return waiting
        }
        guard let waiting else { return }
        if case .failing(let sentence)? = progress?.end {
            supersede(
                model,
                "\(revision) failed \(WarmupRun.failureMaximum) warm-up requests in a row (the last: \(sentence)); the weights have not moved; shift without warm-up if that is wanted"
            )
            return
        }
        guard waiting.left == 0 else { return }
        warming.withLock { $0.shifts[model] = nil }
        do throws(ChangeError) {
            var applied = try shift(waiting.shift, by: waiting.who)
            applied.notes = waiting.notes + applied.notes
            waiting.then(.success(applied))
        } catch {
            waiting.then(.failure(error))
        }
    }

    // MARK: - Runs

    /// Warms a revision without shifting anything; says how it went on the coordinator's thread.
    package func warm(
        model name: String,
        revision: String,
        by who: String,
        then: @escaping @Sendable (Result<WarmupRun.Progress, ChangeError>) -> Void
    ) {
        loop.submit { [self] in
            guard let model = snapshot.models.first(where: { $0.name == name }),
                let plan = model.revisions.first(where: { $0.name == revision })
            else {
                then(.failure(ChangeError(.unknown, "no revision '\(revision)' of '\(name)'")))
                return
            }
            guard model.cache?.warm != nil else {
                then(
                    .failure(
                        ChangeError(
                            .invalid,
                            "model '\(name)' has no `cache.warm`, so nobody knows what is asked most"
                        )
                    )
                )
                return
            }
            guard plan.canServe else {
                then(
                    .failure(
                        ChangeError(
                            .invalid,
                            "revision '\(revision)' has no backend that answers, so it can't be warmed"
                        )
                    )
                )
                return
            }
            if let run = warming.withLock({ $0.runs[name]?[revision] }), run.progress.end == nil {
                then(.failure(ChangeError(.conflict, "'\(revision)' is being warmed already")))
                return
            }
            let run = warm(name, revision, by: who) { [weak self] progress in
                self?.loop.submit { then(.success(progress)) }
            }
            if run == nil { then(.success(WarmupRun.Progress(inputs: 0))) }
        }
    }

    /// Begins a run and tells people of its begin and end.
    private func warm(
        _ model: String,
        _ revision: String,
        by who: String,
        then: @escaping @Sendable (WarmupRun.Progress) -> Void
    ) -> WarmupRun? {
        guard let warmer = warmer.withLock({ $0 }) else { return nil }
        // A run of nothing is over before it is here to be told of.
        let run = warmer.warm(model: model, revision: revision) { [weak self] progress in
            self?.loop.submit { [weak self] in
                if progress.inputs > 0 {
                    self?.note(.cache, model: model, by: who, progress.sentence(model, revision))
                }
                then(progress)
            }
        }
        guard let run else { return nil }
        let earlier = warming.withLock { warming in
            warming.runs[model, default: [:]].updateValue(run, forKey: revision)
        }
        earlier?.cancel()
        let inputs = run.progress.inputs
        if inputs > 0 {
            note(
                .cache,
                model: model,
                by: who,
                "warming \(model) \(revision): \(inputs) inputs at \(run.rate)/s"
            )
        }
        return run
    }
}

extension WarmupRun.Progress {
    fileprivate func sentence(_ model: String, _ revision: String) -> String {
        let counts = "\(answered) answered, \(failed) failed, \(skipped) were known"
        return switch end {
        case .failing(let sentence):
            "gave up warming \(model) \(revision), which fails (\(sentence)): \(counts)"
        case .cancelled: "warming \(model) \(revision) was cancelled: \(counts)"
        case .done, nil: "warmed \(model) \(revision): \(counts)"
        }
    }

    fileprivate func note(of revision: String) -> String {
        inputs == 0
            ? "revision '\(revision)' begins cold: nothing has been asked lately"
            : "revision '\(revision)' was warmed: \(answered) answered, \(failed) failed, \(skipped) were known"
    }
}
