import SluiceBalancing
import SluiceCore
import SluiceSampleModels
import SluiceSimulation

/// Everything a seed decides before its world begins to run.
struct Scenario {
    enum Wire: Sendable { case http1, http2, tls }

    enum Role {
        case good, slow, failing
        /// Works for longer than anyone waits.
        case stalling
        /// Nobody listens there.
        case absent
        /// Accepts and closes at once.
        case rude
        /// Fails every request at its head, before it has read the body.
        case hasty
    }

    struct Client {
        var calls: [EchoCall]
        var vanishing: Int64?
    }

    let seed: UInt64
    let wire: Wire
    /// Under TLS: what the client offers by ALPN.
    let isHTTP2: Bool
    /// Nothing is broken: every call must be answered, and rightly.
    let isCalm: Bool
    let roles: [Role]
    let clients: [Client]
    let pipelined: [EchoCall]
    let clientSide: FaultPlan
    let backendSide: FaultPlan
    let balancing: LoadBalancing
    let usesProbe: Bool
    /// REST goes to backends over HTTP/2 as well.
    let usesHTTP2Backends: Bool
    /// Gateway and backends listen on socket files instead of ports.
    let usesSocketFiles: Bool
    let reload: Int64?
    let drain: Int64?
    let timeout: Duration
    /// What copies of all predictions go to.
    var shadow: Shadow?
    /// Requests a backend may have at once; 0 is no limit.
    let maxInFlight: Int
    /// What limits a revision's requests at once, where that is learnt.
    let concurrency: ConcurrencyBounds?
    /// Whether backends may be asked the same thing twice.
    var isIdempotent: Bool
    /// When slow requests go to further backends as well.
    var hedge: HedgePolicy?

    init(seed: UInt64, wire: Wire) {
        self.seed = seed
        self.wire = wire
        var random = RandomSource(seed: seed &* 0x2545_F491_4F6C_DD1D)
        isHTTP2 = wire == .http2 || (wire == .tls && random.next(below: 2) == 0)
        isCalm = random.next(below: 4) == 0
        balancing = LoadBalancing.allCases[random.next(below: LoadBalancing.allCases.count)]
        usesProbe = random.next(below: 2) == 0
        maxInFlight = seed % 3 == 1 ? 1 + Int(seed / 3 % 3) : 0
        // Without a line to wait in, a request beyond the limit is refused: not on a calm day.
        concurrency =
            seed % 7 == 3 && (!isCalm || maxInFlight > 0)
            ? ConcurrencyBounds(minimum: 1 + Int(seed % 3), maximum: 6) : nil
        isIdempotent = seed % 5 == 2
        usesSocketFiles = seed % 11 < 3
        usesHTTP2Backends = random.next(below: 3) == 0
        // On a calm day nothing may fail, so nobody is in a hurry.
        timeout = isCalm ? .seconds(60) : .milliseconds(1_500 + random.next(below: 2_000))
        clientSide = Scenario.faults(isCalm: isCalm, &random)
        backendSide = Scenario.faults(isCalm: isCalm, &random)
        roles = Scenario.roles(isCalm: isCalm, &random)
        reload = random.next(below: 3) == 0 ? Int64(random.next(below: 400_000_000)) : nil
        drain =
            !isCalm && random.next(below: 8) == 0
            ? Int64(random.next(below: 400_000_000)) : nil

        var number = 0
        var make = Maker(seed: seed, isHTTP2: isHTTP2, isCalm: isCalm)
        var clients: [Client] = []
        for _ in 0..<(1 + random.next(below: 3)) {
            let count = 2 + random.next(below: 4)
            let calls = (0..<count).map { _ -> EchoCall in
                number += 1
                return make.call(number, &random)
            }
            let vanishes = !isCalm && random.next(below: 5) == 0
            clients.append(
                Client(
                    calls: calls,
                    vanishing: vanishes ? Int64(random.next(below: 300_000_000)) : nil
                )
            )
        }
        self.clients = clients
        var pipelined: [EchoCall] = []
        if wire == .http1, random.next(below: 2) == 0 {
            for _ in 0..<(2 + random.next(below: 3)) {
                number += 1
                pipelined.append(make.plainCall(number, &random))
            }
        }
        self.pipelined = pipelined
    }

    private static func roles(isCalm: Bool, _ random: inout RandomSource) -> [Role] {
        (0..<(2 + random.next(below: 2))).map { _ in
            guard !isCalm else { return random.next(below: 3) == 0 ? .slow : .good }
            switch random.next(below: 13) {
            case 0: return .stalling
            case 1: return .absent
            case 2: return .rude
            case 3: return .failing
            case 4: return .hasty
            case 5, 6: return .slow
            default: return .good
            }
        }
    }

    private static func faults(isCalm: Bool, _ random: inout RandomSource) -> FaultPlan {
        var plan = FaultPlan()
        plan.shortRead = [0, 100, 400, 900][random.next(below: 4)]
        plan.shortWrite = [0, 100, 400, 900][random.next(below: 4)]
        plan.spurious = random.next(below: 2) == 0 ? 0 : 50
        plan.delay =
            [
                1_000...50_000, 100_000...2_000_000, 1_000_000...30_000_000,
            ][random.next(below: 3)]
        plan.buffer = [64...2_048, 4_096...16_384, 65_536...262_144][random.next(below: 3)]
        guard !isCalm else {
            plan.buffer = max(1_024, plan.buffer.lowerBound)...plan.buffer.upperBound
            return plan
        }
        plan.exhausted = random.next(below: 4) == 0 ? 300 : 0
        plan.aborted = random.next(below: 4) == 0 ? 150 : 0
        plan.refusal = random.next(below: 4) == 0 ? 200 : 0
        plan.unreachable = random.next(below: 6) == 0 ? 200 : 0
        plan.unanswered = random.next(below: 6) == 0 ? 200 : 0
        plan.reset = random.next(below: 2) == 0 ? 300 : 0
        plan.silence = random.next(below: 3) == 0 ? 250 : 0
        plan.horizon = [0...300, 0...3_000, 500...20_000][random.next(below: 3)]
        return plan
    }

    /// Makes calls, each with a name of its own.
    private struct Maker {
        let seed: UInt64
        let isHTTP2: Bool
        let isCalm: Bool

        mutating func call(_ number: Int, _ random: inout RandomSource) -> EchoCall {
            let rest: [EchoCall.Kind] = [.v1, .v1, .v2, .binary, .binary, .unmatchedName, .live]
            let grpc: [EchoCall.Kind] = [.grpc, .grpc, .grpc, .grpcStream, .grpcUnmatched]
            let kinds = isHTTP2 ? rest + grpc + grpc : rest
            let kind = kinds[random.next(below: kinds.count)]
            let call = make(number, kind, &random)
            call.start = Int64(random.next(below: 250_000_000))
            call.fragments = 1 + random.next(below: 4)
            call.pause = Int64(random.next(below: 20_000_000))
            if random.next(below: 5) == 0 { call.slowness = 5_000_000 }
            if !isCalm, random.next(below: 8) == 0 {
                call.progressTimeout = Int64(random.next(below: 60_000_000))
            }
            return call
        }

        /// A call for a client that says all it has to say at once.
        mutating func plainCall(_ number: Int, _ random: inout RandomSource) -> EchoCall {
            make(number, [.v1, .v2, .live][random.next(below: 3)], &random)
        }

        /// Bytes counting up from `first`; long ones by doubling, for tests are built for looking,
        /// not for speed.
        private static func payload(_ size: Int, from first: UInt8) -> [UInt8] {
            var bytes = (0..<min(size, 256)).map { first &+ UInt8(truncatingIfNeeded: $0) }
            while bytes.count < size { bytes += bytes.prefix(size - bytes.count) }
            return bytes
        }

        private func make(
            _ number: Int,
            _ kind: EchoCall.Kind,
            _ random: inout RandomSource
        ) -> EchoCall {
            var size = 1 + random.next(below: 30)
            let isBulky = kind == .binary || kind == .grpc || kind == .grpcStream
            // Now and then more than any buffer or window holds.
            if isBulky, random.next(below: 6) == 0 { size = 1 << (10 + random.next(below: 8)) }
            let first = UInt8(truncatingIfNeeded: random.next())
            return EchoCall(
                id: "s\(seed)r\(number)",
                kind: kind,
                payload: Maker.payload(size, from: first),
                messageCount: kind == .grpcStream ? 1 + random.next(below: 3) : 1
            )
        }
    }
}
