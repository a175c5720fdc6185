import SluiceCore
import Synchronization

/// Where one worker counts what the backends of one revision answered: one increment an answer.
///
/// Trivial, so that a revision's record can hold it. The board that made it owns the memory, which
/// stays as long as the board.
@safe
package struct AnswerTally: BitwiseCopyable {
    typealias Slot = Atomic<UInt64>

    // `slotCount` slots; every place below is within.
    fileprivate let slots: UnsafeMutablePointer<Slot>

    fileprivate static let unmeasured = DurationScale.count
    fileprivate static let failures = DurationScale.count + 1
    fileprivate static let clientFaults = DurationScale.count + 2
    fileprivate static let slotCount = DurationScale.count + 3

    /// Counts a good answer by its duration.
    package func good(nanoseconds: Int64) {
        add(DurationScale.bucket(nanoseconds: nanoseconds))
    }

    /// Counts a good answer whose duration says nothing.
    package func goodUnmeasured() { add(AnswerTally.unmeasured) }

    /// Counts a bad answer, or none.
    package func failure() { add(AnswerTally.failures) }

    /// Counts a request that failed by its client's fault.
    package func clientFault() { add(AnswerTally.clientFaults) }

    /// One thread writes, so a load and a store do for an addition.
    @inline(__always)
    private func add(_ place: Int) {
        let slot = unsafe slots + place
        unsafe slot.pointee.store(
            slot.pointee.load(ordering: .relaxed) &+ 1,
            ordering: .relaxed
        )
    }
}

/// What a revision's tallies held when somebody looked, over all workers.
package struct AnswerReading: Sendable, Equatable {
    /// Good answers by duration, in the buckets of `DurationScale`.
    package var durations = [UInt64](repeating: 0, count: DurationScale.count)
    /// Good answers whose duration says nothing.
    package var unmeasured: UInt64 = 0
    /// Bad answers, and none.
    package var failures: UInt64 = 0
    /// Requests that failed by their client's fault.
    package var clientFaults: UInt64 = 0

    /// Nothing.
    package init() {}
}

/// The tallies of all workers, by model and revision; what a rollout judges by.
///
/// Bound: ``tallyMaximum`` tallies of 2.9 KB each at a time; revisions beyond have
/// none, and a rollout of theirs finds no answers and holds.
@safe
package final class AnswerTallies: @unchecked Sendable {
    // Unchecked: the slots are atomic, and the lists that lead to them are under the lock.

    private struct Name: Hashable {
        let model: String
        let revision: String
    }

    private struct State {
        var tallies: [Name: [Confined<AnswerTally>]] = [:]
        /// What was counted in tallies that are gone, while the revision has others.
        var past: [Name: AnswerReading] = [:]
        var count = 0
    }

    /// How many tallies there may be.
    package static let tallyMaximum = 8_192

    private let state = Mutex(State())

    /// A board without tallies.
    package init() {}

    deinit {
        state.withLock { state in
            for list in state.tallies.values {
                for tally in list { unsafe tally.value.slots.deallocate() }
            }
        }
    }

    /// A tally for one writer of a revision's answers; nil where there are too many.
    package func makeTally(model: String, revision: String) -> AnswerTally? {
        state.withLock { state in
            guard state.count < AnswerTallies.tallyMaximum else { return nil }
            state.count += 1
            // Whole cache lines: two workers' tallies mustn't share one.
            let slots = unsafe UnsafeMutableRawPointer.allocate(
                byteCount: AnswerTally.slotCount * MemoryLayout<AnswerTally.Slot>.stride,
                alignment: 64
            ).bindMemory(to: AnswerTally.Slot.self, capacity: AnswerTally.slotCount)
            for place in 0..<AnswerTally.slotCount {
                unsafe (slots + place).initialize(to: Atomic(0))
            }
            let tally = unsafe AnswerTally(slots: slots)
            let name = Name(model: model, revision: revision)
            state.tallies[name, default: []].append(Confined(tally))
            return tally
        }
    }

    /// Takes a tally back from its writer, which may not count in it any more.
    ///
    /// What it holds stays in the sum as long as the revision has another tally.
    package func discard(_ tally: AnswerTally, model: String, revision: String) {
        let name = Name(model: model, revision: revision)
        state.withLock { state in
            guard
                let place = state.tallies[name]?.firstIndex(where: {
                    unsafe $0.value.slots == tally.slots
                })
            else { preconditionFailure("a tally is discarded once") }
            state.count -= 1
            state.tallies[name]?.remove(at: place)
            if state.tallies[name]?.isEmpty == true {
                state.tallies[name] = nil
                state.past[name] = nil
            } else {
                state.past[name, default: AnswerReading()].add(tally)
            }
            // Nothing but the list led a reader here, and readers hold the lock.
            unsafe tally.slots.deallocate()
        }
    }

    /// What a revision's tallies hold now; any thread may ask, and counts may lag by moments.
    package func read(model: String, revision: String) -> AnswerReading {
        let name = Name(model: model, revision: revision)
        return state.withLock { state in
            var reading = state.past[name] ?? AnswerReading()
            for tally in state.tallies[name] ?? [] { reading.add(tally.value) }
            return reading
        }
    }
}

extension AnswerReading {
    fileprivate mutating func add(_ tally: AnswerTally) {
        let slots = unsafe tally.slots
        for place in 0..<DurationScale.count {
            unsafe durations[place] &+= slots[place].load(ordering: .relaxed)
        }
        unsafe unmeasured &+= slots[AnswerTally.unmeasured].load(ordering: .relaxed)
        unsafe failures &+= slots[AnswerTally.failures].load(ordering: .relaxed)
        unsafe clientFaults &+= slots[AnswerTally.clientFaults].load(ordering: .relaxed)
    }
}
