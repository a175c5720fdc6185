private import Glibc
import SluiceCore
import SluiceIO

/// A connection with its two ends: side 0 connected, side 1 was connected to.
///
/// Follows Linux where programs can tell: an end that closes with bytes unread resets the other;
/// bytes that reach a closed end come back as a reset; bytes that arrived before a reset can still
/// be read, then comes ECONNRESET once, then the end; after the reset, writing is EPIPE.
final class SimulatedConnection {
    private struct End {
        /// What the other side writes to.
        var inbound: Pipe
        /// When this side learns that it stands, or that it doesn't.
        var opens: Instant
        var isClosed = false
        var hasShutDown = false
        var resets: Instant?
        var isResetTold = false
    }

    let plan: FaultPlan
    let listenerPort: UInt16
    let clientPort: UInt16
    private let fate: ConnectionFate
    private var ends: InlineArray<2, End>
    private var carried = 0
    private var isOver = false
    private(set) var isSilent = false
    /// The side that reads no more, and the side that writes no more.
    private var deafSide = -1
    private var muteSide = -1
    /// Why side 0 can't connect, once it learns.
    private(set) var connectFailure: Int32?
    /// Whether it died before anyone took it.
    var isAborted: Bool { fate.isAborted }

    init(
        plan: FaultPlan,
        fate: ConnectionFate,
        listenerPort: UInt16,
        clientPort: UInt16,
        now: Instant,
        random: inout RandomSource
    ) {
        self.plan = plan
        self.fate = fate
        self.listenerPort = listenerPort
        self.clientPort = clientPort
        let there = now.advanced(byNanoseconds: plan.drawDelay(&random))
        let back = there.advanced(byNanoseconds: plan.drawDelay(&random))
        ends = [
            End(inbound: Pipe(capacity: fate.capacity), opens: back),
            End(inbound: Pipe(capacity: fate.capacity), opens: back),
        ]
        switch fate.connecting {
        case .refused: connectFailure = ECONNREFUSED
        case .unanswered:
            ends[0].opens = .distantFuture
            ends[1].opens = .distantFuture
            isSilent = true
        case .succeeds, .unreachable: break
        }
    }

    /// Nobody listened after all.
    func refuse() { connectFailure = ECONNREFUSED }

    /// When side 1 can be accepted.
    var acceptable: Instant { ends[1].opens }

    var isGone: Bool { ends[0].isClosed && ends[1].isClosed }

    // MARK: - Readiness

    func readiness(of side: Int, at now: Instant) -> (read: Bool, write: Bool, broken: Bool) {
        guard ends[side].opens <= now else { return (false, false, false) }
        if side == 0, connectFailure != nil { return (true, true, true) }
        if isReset(side, now) { return (true, true, true) }
        let hasEnded = ends[side].inbound.end.map { $0 <= now } ?? false
        let isReadable =
            side != deafSide && (ends[side].inbound.isReadable(at: now) || hasEnded)
        let hasShutDown = ends[side].hasShutDown
        // Linux reports room only when a third of the buffer is free.
        let room = ends[1 - side].inbound.room
        let isWritable = hasShutDown || side != muteSide && room >= max(1, fate.capacity / 3)
        return (isReadable, isWritable, hasEnded && hasShutDown)
    }

    func failure(of side: Int, at now: Instant) -> Int32? {
        if side == 0, let connectFailure { return connectFailure }
        if isReset(side, now) {
            ends[side].isResetTold = true
            return ECONNRESET
        }
        return nil
    }

    /// The next moment at which something changes by itself.
    func nextChange(after now: Instant) -> Instant {
        var next = Instant.distantFuture
        for side in 0..<2 where !ends[side].isClosed {
            if ends[side].opens > now { next = min(next, ends[side].opens) }
            if let arrival = ends[side].inbound.nextArrival(after: now) {
                next = min(next, arrival)
            }
            if let end = ends[side].inbound.end, end > now { next = min(next, end) }
            if let resets = ends[side].resets, resets > now { next = min(next, resets) }
        }
        return next
    }

    private func isReset(_ side: Int, _ now: Instant) -> Bool {
        ends[side].resets.map { $0 <= now } ?? false
    }

    // MARK: - What descriptors do

    func read(
        _ side: Int,
        into memory: UnsafeMutableRawBufferPointer,
        at now: Instant,
        _ random: inout RandomSource
    ) -> TransferResult {
        if side == deafSide, !isReset(side, now) { return .wouldBlock }
        let horizon = min(now, ends[side].resets ?? now)
        let available = min(ends[side].inbound.available(at: horizon), memory.count)
        if available > 0 {
            let count = shortened(available, plan.shortRead, &random)
            unsafe ends[side].inbound.read(count, into: memory)
            return .moved(count)
        }
        if isReset(side, now) {
            if ends[side].isResetTold { return .ended }
            ends[side].isResetTold = true
            return .failed(ECONNRESET)
        }
        if let end = ends[side].inbound.end, end <= now { return .ended }
        return .wouldBlock
    }

    func write(
        _ side: Int,
        _ bytes: UnsafeRawBufferPointer,
        at now: Instant,
        _ random: inout RandomSource
    ) -> TransferResult {
        if isReset(side, now) {
            if ends[side].isResetTold { return .failed(EPIPE) }
            ends[side].isResetTold = true
            return .failed(ECONNRESET)
        }
        if ends[side].hasShutDown { return .failed(EPIPE) }
        var room = min(ends[1 - side].inbound.room, bytes.count)
        if side == muteSide { room = 0 }
        // An ailment comes at its very byte.
        if case .ailment = fate.end, !isOver { room = min(room, max(1, fate.horizon - carried)) }
        guard room > 0 else { return .wouldBlock }
        let count = shortened(room, plan.shortWrite, &random)
        let arrival = sent(to: 1 - side, now, &random)
        if ends[1 - side].isClosed {
            reset(side, at: arrival.advanced(byNanoseconds: plan.drawDelay(&random)))
        } else {
            unsafe ends[1 - side].inbound.push(
                [UInt8](UnsafeRawBufferPointer(rebasing: bytes[..<count])),
                arrival: arrival
            )
        }
        carry(count, now, &random)
        return .moved(count)
    }

    func shutDown(_ side: Int, at now: Instant, _ random: inout RandomSource) {
        guard !ends[side].hasShutDown else { return }
        ends[side].hasShutDown = true
        let arrival = sent(to: 1 - side, now, &random)
        ends[1 - side].inbound.close(arrival: arrival)
    }

    func close(_ side: Int, at now: Instant, _ random: inout RandomSource) {
        ends[side].isClosed = true
        guard !isReset(side, now), ends[side].opens <= now || side == 1 else {
            // An attempt given up: the listener may find an end where a connection was.
            shutDown(side, at: now, &random)
            return
        }
        if ends[side].inbound.isReadable(at: now) {
            // What was written last may still lie in the sender's buffer, and goes with it.
            if plan.happens(500, &random) { ends[1 - side].inbound.dropAfter(now) }
            reset(1 - side, at: sent(to: 1 - side, now, &random))
            return
        }
        let coming = ends[side].inbound.nextArrival(after: now)
        shutDown(side, at: now, &random)
        if let coming, coming < .distantFuture, !isSilent {
            reset(1 - side, at: coming.advanced(byNanoseconds: plan.drawDelay(&random)))
        }
    }

    /// The other end learns that this one has no more to do with it.
    func breakOff(_ side: Int, at now: Instant, _ random: inout RandomSource) {
        guard !isReset(side, now) else { return }
        reset(1 - side, at: sent(to: 1 - side, now, &random))
    }

    /// Both ends learn that the connection is no more.
    func breakOff(at now: Instant, _ random: inout RandomSource) {
        for side in 0..<2 {
            reset(side, at: now.advanced(byNanoseconds: plan.drawDelay(&random)))
        }
    }

    // MARK: - How it's done

    private func shortened(_ count: Int, _ chance: Int, _ random: inout RandomSource) -> Int {
        guard count > 1, plan.happens(chance, &random) else { return count }
        // Mostly tiny pieces, where parsers are cut in awkward places; sometimes any.
        return plan.happens(700, &random)
            ? 1 + random.next(below: min(count, 24)) : 1 + random.next(below: count)
    }

    private func sent(to side: Int, _ now: Instant, _ random: inout RandomSource) -> Instant {
        let delay = plan.drawDelay(&random)
        guard !isSilent else { return .distantFuture }
        return ends[side].inbound.arrival(now.advanced(byNanoseconds: delay))
    }

    private func reset(_ side: Int, at instant: Instant) {
        guard !isSilent else { return }
        ends[side].resets = min(instant, ends[side].resets ?? instant)
    }

    private func carry(_ count: Int, _ now: Instant, _ random: inout RandomSource) {
        carried += count
        guard carried >= fate.horizon, !isOver else { return }
        isOver = true
        switch fate.end {
        case .none: break
        case .reset: breakOff(at: now, &random)
        case .silence: isSilent = true
        case .ailment(.deaf(let side)): deafSide = side
        case .ailment(.mute(let side)): muteSide = side
        case .ailment(.ended(let side)): shutDown(side, at: now, &random)
        case .ailment(.killed(let side)):
            breakOff(side, at: now, &random)
            ends[side].resets = ends[side].resets ?? now
        }
    }
}
