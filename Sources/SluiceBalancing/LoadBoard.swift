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
        let failures = Atomic<Int>(0)
        let padding = InlineArray<13, Int>(repeating: 0)
    }

    /// Whether a backend may be used.
    package enum Health: Int, Sendable {
        /// Nobody has asked yet; it may be tried.
        case unknown = 0
        case up = 1
        case down = 2
    }

    @usableFromInline let line: UnsafeMutablePointer<Line>

    /// Whether two handles are of one backend.
    public static func == (left: BackendLoad, right: BackendLoad) -> Bool {
        unsafe left.line == right.line
    }

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

    /// What probes and connection attempts last found.
    package var health: Health {
        get {
            unsafe Health(rawValue: line.pointee.health.load(ordering: .relaxed)) ?? .unknown
        }
        nonmutating set { unsafe line.pointee.health.store(newValue.rawValue, ordering: .relaxed) }
    }
}

/// The loads of all backends, shared by all workers; lines are made once and reused.
@safe
package final class LoadBoard: Sendable {
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
    package func add() -> BackendLoad {
        let line = unsafe UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
            .bindMemory(to: BackendLoad.Line.self, capacity: 1)
        unsafe line.initialize(to: BackendLoad.Line())
        let load = unsafe BackendLoad(line: line)
        lines.withLock { $0.append(load) }
        return load
    }
}
