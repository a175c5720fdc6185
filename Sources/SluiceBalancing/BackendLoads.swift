package import SluiceCore
public import Synchronization

/// The shared counters of one backend: a cache line of atomics.
///
/// A handle: copying it copies a pointer. The board that made it owns the memory and outlives all
/// handles. Every worker counts here, because counts that workers keep to themselves make each of
/// them blind to the others' load (p99 179 ms against 133 in simulation).
@safe
public struct BackendLoad: BitwiseCopyable, Equatable, @unchecked Sendable {
    // Unchecked: the pointed-to values are atomics, and the memory is never moved or freed while
    // the board lives.
    @usableFromInline
    struct Line: ~Copyable {
        @usableFromInline let inFlight = Atomic<Int>(0)
        @usableFromInline let health = Atomic<Int>(0)
        @usableFromInline let failures = Atomic<UInt64>(0)
        let limit = Atomic<Int>(0)
        let ejectedUntil = Atomic<Int64>(0)
        let ejections = Atomic<Int>(0)
        let probesCountFrom = Atomic<Int64>(0)
        let upSince: Atomic<Int64>
        let policyWords = InlineArray<8, Atomic<UInt64>> { _ in Atomic(0) }

        init(upSince: Int64) { self.upSince = Atomic(upSince) }
    }

    /// Whether a backend may be used.
    package enum Health: Int, Sendable {
        /// Nobody has asked yet; it may be tried.
        case unknown = 0
        case up = 1
        case down = 2
        /// It failed again and again, and is left alone for a while.
        case ejected = 3
    }

    @usableFromInline let line: UnsafeMutablePointer<Line>

    /// Whether two handles are of one backend.
    public static func == (left: BackendLoad, right: BackendLoad) -> Bool {
        unsafe left.line == right.line
    }

    // MARK: - Requests in flight

    /// Requests sent to it that have not been answered, over all workers.
    @inlinable
    public var inFlight: Int { unsafe line.pointee.inFlight.load(ordering: .relaxed) }

    /// Counts a request in.
    @inlinable
    public func enter() {
        unsafe line.pointee.inFlight.wrappingAdd(1, ordering: .relaxed)
    }

    /// Counts a request out.
    @inlinable
    public func leave() {
        unsafe line.pointee.inFlight.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Requests it may have at once; 0 is no limit.
    package var limit: Int {
        get { unsafe line.pointee.limit.load(ordering: .relaxed) }
        nonmutating set { unsafe line.pointee.limit.store(newValue, ordering: .relaxed) }
    }

    /// Whether it has as many requests as it may have.
    var isFull: Bool {
        let limit = limit
        return unsafe limit > 0
            && line.pointee.inFlight.load(ordering: .sequentiallyConsistent) >= limit
    }

    /// Counts a request in unless that were one too many; never above the limit, not for a moment.
    package func tryEnter() -> Bool {
        let limit = limit
        guard limit > 0 else {
            enter()
            return true
        }
        var current = unsafe line.pointee.inFlight.load(ordering: .relaxed)
        while current < limit {
            let (exchanged, found) = unsafe line.pointee.inFlight.weakCompareExchange(
                expected: current,
                desired: current + 1,
                ordering: .sequentiallyConsistent
            )
            if exchanged { return true }
            current = found
        }
        return false
    }

    /// Counts a request out of a backend that others may wait for; see ``RevisionQueue``.
    package func leaveLimited() {
        unsafe line.pointee.inFlight.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    // MARK: - Failures

    /// Whether it has failed lately, so that answers are worth noting.
    @inlinable
    public var hasFailures: Bool {
        unsafe line.pointee.failures.load(ordering: .relaxed) != 0
    }

    /// What is remembered of its failures.
    package var failures: FailureRecord {
        unsafe FailureRecord(word: line.pointee.failures.load(ordering: .relaxed))
    }

    /// Notes how an attempt went; returns what is remembered now.
    @discardableResult
    package func note(_ outcome: BackendOutcome, at now: Instant) -> FailureRecord {
        exchangeFailures { $0.noting(outcome, at: now) }
    }

    private func exchangeFailures(_ change: (FailureRecord) -> FailureRecord) -> FailureRecord {
        var current = unsafe line.pointee.failures.load(ordering: .relaxed)
        while true {
            let next = change(FailureRecord(word: current))
            let (exchanged, found) = unsafe line.pointee.failures.weakCompareExchange(
                expected: current,
                desired: next.word,
                ordering: .relaxed
            )
            if exchanged { return next }
            current = found
        }
    }

    // MARK: - Latency

    /// How long it takes; kept only where somebody balances by it.
    package var latency: LatencyRecord {
        LatencyRecord(word: self[.latency])
    }

    /// Notes how long an answer took.
    package func note(nanoseconds: Int64, at now: Instant) {
        update(.latency) {
            LatencyRecord(word: $0).noting(nanoseconds: nanoseconds, at: now).word
        }
    }

    // MARK: - What policies keep

    /// A word of a policy's; 0 until it is updated.
    package subscript(word: PolicyWord) -> UInt64 {
        unsafe line.pointee.policyWords[word.rawValue].load(ordering: .relaxed)
    }

    /// Changes a word of a policy's; `change` may be asked more than once.
    package func update(_ word: PolicyWord, _ change: (UInt64) -> UInt64) {
        var current = self[word]
        while true {
            let next = change(current)
            guard next != current else { return }
            let (exchanged, found) = unsafe line.pointee.policyWords[word.rawValue]
                .weakCompareExchange(expected: current, desired: next, ordering: .relaxed)
            if exchanged { return }
            current = found
        }
    }

    // MARK: - Health

    /// What probes, connection attempts and answers last found.
    package var health: Health {
        get {
            unsafe Health(rawValue: line.pointee.health.load(ordering: .relaxed)) ?? .unknown
        }
        nonmutating set { unsafe line.pointee.health.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// A probe was answered well; that ends an ejection, too, unless probes have been wrong before
    /// (see ``eject(base:maximum:at:)``), and slow start begins for a backend that was away or is new.
    package func cameUp(at now: Instant) {
        let before = health
        if before == .up { return }
        if before == .ejected,
            unsafe now.nanoseconds < line.pointee.probesCountFrom.load(ordering: .relaxed)
        {
            return
        }
        if before != .unknown || upSince == BackendLoad.newcomer { upSince = now.nanoseconds }
        health = .up
    }

    // 0 is a backend that was there from the start; a newcomer's time begins when it is first up.
    private static let newcomer: Int64 = -1

    private var upSince: Int64 {
        get { unsafe line.pointee.upSince.load(ordering: .relaxed) }
        nonmutating set { unsafe line.pointee.upSince.store(newValue, ordering: .relaxed) }
    }

    /// How much of its weight a backend has that came up lately, in 1/256: a straight line from a
    /// tenth to all of it.
    func warmth(at now: Instant, window: Int64) -> Int {
        let since = upSince
        guard since != 0 else { return 256 }
        guard since > 0 else { return 26 }
        let age = now.nanoseconds - since
        guard age < window else { return 256 }
        return max(26, Int(Double(max(age, 0)) / Double(window) * 256))
    }

    /// Whether it may be tried now; a backend whose ejection is over is taken back.
    func isUsable(at now: Instant) -> Bool {
        switch health {
        case .up, .unknown: return true
        case .down: return false
        case .ejected:
            guard unsafe line.pointee.ejectedUntil.load(ordering: .relaxed) <= now.nanoseconds
            else { return false }
            let (exchanged, _) = unsafe line.pointee.health.compareExchange(
                expected: Health.ejected.rawValue,
                desired: Health.up.rawValue,
                ordering: .relaxed
            )
            if exchanged { upSince = now.nanoseconds }
            return true
        }
    }

    /// Takes it out of use; the caller holds the revision's ``OutlierDetector``.
    ///
    /// The n-th time takes n times as long; each `base` spent in use after that is one time forgiven.
    /// A probe that succeeds spares it one `base`, so all of the first time. Further ones are of a
    /// backend that failed again after probes had found it well: what they ask isn't what is broken,
    /// and taken at their word they would bring it back to fail at every interval.
    func eject(base: Int64, maximum: Int64, at now: Instant) -> Int64 {
        let until = unsafe line.pointee.ejectedUntil.load(ordering: .relaxed)
        let before = unsafe line.pointee.ejections.load(ordering: .relaxed)
        let forgiven = until == 0 ? 0 : max(0, now.nanoseconds - until) / max(base, 1)
        let count = max(0, before - Int(clamping: forgiven)) + 1
        let time = min(base.multipliedReportingOverflow(by: Int64(count)).partialValue, maximum)
        unsafe line.pointee.ejections.store(count, ordering: .relaxed)
        unsafe line.pointee.ejectedUntil.store(now.nanoseconds + time, ordering: .relaxed)
        unsafe line.pointee.probesCountFrom.store(
            now.nanoseconds + time - base,
            ordering: .relaxed
        )
        health = .ejected
        _ = exchangeFailures { $0.withoutStreak }
        return time
    }
}

/// The loads of all backends, shared by all workers; lines are made once and reused.
@safe
package final class BackendLoads: Sendable {
    private let lines = Mutex<[BackendLoad]>([])

    /// A board without backends.
    package init() {}

    deinit {
        lines.withLock { lines in
            for load in lines {
                unsafe load.line.deinitialize(count: 1)
                unsafe load.line.deallocate()
            }
        }
    }

    /// A fresh line for a backend that has just been configured.
    ///
    /// A newcomer joins others that are at work, so that slow start concerns it.
    package func add(isNewcomer: Bool = false) -> BackendLoad {
        let line = unsafe UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
            .bindMemory(to: BackendLoad.Line.self, capacity: 1)
        unsafe line.initialize(to: BackendLoad.Line(upSince: isNewcomer ? -1 : 0))
        let load = unsafe BackendLoad(line: line)
        lines.withLock { $0.append(load) }
        return load
    }
}
