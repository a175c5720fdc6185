import SluiceCore

/// How the network treats the connections to one address.
///
/// Chances are per mille.
package struct FaultPlan: Sendable {
    /// Nanoseconds one way, for each piece of data anew; order is kept.
    package var delay: ClosedRange<Int64> = 20_000...200_000
    /// Bytes that fit into one direction of a connection.
    package var buffer: ClosedRange<Int> = 65_536...262_144
    /// A read that returns less than is there.
    package var shortRead = 0
    /// A write that takes less than fits.
    package var shortWrite = 0
    /// A report of readiness with nothing behind it (the manual allows that).
    package var spurious = 0

    /// Nobody listens, as far as this connection can tell.
    package var refusal = 0
    /// There's no way there: the attempt fails while it is being made.
    package var unreachable = 0
    /// The attempt to connect is never answered.
    package var unanswered = 0
    /// The connection dies between its handshake and its accept.
    package var aborted = 0
    /// The accepting process is out of descriptors, for this one look.
    package var exhausted = 0

    /// Both ends are reset after some bytes.
    package var reset = 0
    /// From some byte on nothing arrives any more, in either direction, without a word.
    package var silence = 0
    /// What befalls one side after some bytes, with certainty and instead of the two above.
    package var ailment: Ailment?
    /// How many bytes, both directions together, go well before a reset, silence or ailment.
    package var horizon: ClosedRange<Int> = 0...2_000

    /// What a process can do to its end of a connection, short of a reset; side 0 connected.
    package enum Ailment: Sendable {
        /// It reads no more.
        case deaf(Int)
        /// It writes no more.
        case mute(Int)
        /// It ends its direction (FIN).
        case ended(Int)
        /// It is killed: the other side is reset.
        case killed(Int)
    }

    /// A network that delays a little and does no harm.
    package init() {}

    /// What becomes of the next connection.
    func fate(_ random: inout RandomSource) -> ConnectionFate {
        var fate = ConnectionFate()
        if happens(unreachable, &random) {
            fate.connecting = .unreachable
        } else if happens(refusal, &random) {
            fate.connecting = .refused
        } else if happens(unanswered, &random) {
            fate.connecting = .unanswered
        }
        fate.isAborted = happens(aborted, &random)
        if let ailment {
            fate.end = .ailment(ailment)
        } else if happens(reset, &random) {
            fate.end = .reset
        } else if happens(silence, &random) {
            fate.end = .silence
        }
        fate.horizon = draw(horizon, &random)
        // Short buffers and long ones are equally likely; a uniform draw would rarely be short.
        fate.capacity =
            happens(500, &random) ? draw(buffer, &random) : max(1, buffer.lowerBound)
        return fate
    }

    func happens(_ chance: Int, _ random: inout RandomSource) -> Bool {
        chance > 0 && random.next(below: 1_000) < chance
    }

    func drawDelay(_ random: inout RandomSource) -> Int64 {
        delay.lowerBound
            + Int64(random.next(below: Int(delay.upperBound - delay.lowerBound) + 1))
    }

    private func draw(_ range: ClosedRange<Int>, _ random: inout RandomSource) -> Int {
        range.lowerBound + random.next(below: range.count)
    }
}

/// What the plan has in mind for one connection.
struct ConnectionFate {
    enum Connecting { case succeeds, refused, unreachable, unanswered }
    enum End {
        case none, reset, silence
        case ailment(FaultPlan.Ailment)
    }

    var connecting = Connecting.succeeds
    var isAborted = false
    var end = End.none
    var horizon = 0
    var capacity = 65_536
}
