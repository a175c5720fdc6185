import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceSimulation

/// A listener with a handler that records, and a loop for clients, in virtual time.
final class IngressScene {
    static let address = SocketAddress.loopback(port: 80)

    let world: World
    let handler: RecordingHandler
    let listener: IngressListener
    let count: ConnectionCount
    let server: EventLoop
    let client: EventLoop
    /// What the listener's observer was told.
    private let observed: Observed
    var events: [String] { observed.events }

    private final class Observed {
        var events: [String] = []
    }

    init(
        seed: UInt64 = 1,
        _ plan: FaultPlan = FaultPlan(),
        limits: IngressLimits = IngressLimits(),
        maximum: Int = 100,
        perAddress: Int = 0
    ) throws {
        world = World(seed: seed)
        server = world.makeLoop(name: "server").loop
        client = world.makeLoop(name: "client").loop
        world.network.use(plan, for: IngressScene.address)
        handler = RecordingHandler(arena: HTTPArena(buffers: server.buffers))
        count = ConnectionCount(maximum: maximum, perAddress: perAddress)
        let observed = Observed()
        self.observed = observed
        listener = try IngressListener(
            loop: server,
            arena: handler.arena,
            address: IngressScene.address,
            name: "main",
            tls: nil,
            limits: limits,
            count: count,
            handler: handler
        ) { observed.events.append("\($0)") }
        listener.start()
    }

    /// Connects, and says `text` as soon as that stands.
    func connect(_ text: String = "") throws -> RawClient {
        try RawClient(loop: client, saying: Array(text.utf8))
    }

    /// Lets `milliseconds` pass.
    func pass(_ milliseconds: Int) throws { try world.pass(.milliseconds(milliseconds)) }

    /// How often the observer was told of such abuse.
    func abuse(_ reason: AbuseReason) -> Int {
        events.count { $0 == "abused(\("SluiceHTTP.AbuseReason.\(reason)"))" }
    }

    /// Closes everything; what is left in spite of that.
    func end(_ clients: RawClient...) throws -> [String] {
        for client in clients { client.close() }
        listener.closeAll()
        world.tickAll()
        try world.pass(.seconds(3))
        var faults = world.network.violations
        if world.network.openDescriptorCount > 0 { faults.append("open descriptors") }
        if server.timerCount > 0 { faults.append("\(server.timerCount) timers") }
        if count.current != 0 { faults.append("\(count.current) connections are counted") }
        if handler.arena.blocks.liveCount != 0 { faults.append("blocks are out") }
        if handler.arena.openStreamCount != 0 { faults.append("streams are open") }
        return faults
    }
}

/// A client that says what it is told to, and keeps what it hears.
final class RawClient: StreamHandler {
    private(set) var stream: TCPStream?
    private var output: [UInt8] = []
    private(set) var input: [UInt8] = []
    private(set) var hasEnded = false
    private(set) var isBroken = false
    /// Told of everything that comes.
    var onReceive: ([UInt8]) -> Void = { _ in }

    init(loop: EventLoop, saying bytes: [UInt8]) throws {
        output = bytes
        let stream = try TCPStream(loop: loop, connectingTo: IngressScene.address, tls: nil)
        self.stream = stream
        stream.handler = self
        stream.start()
    }

    /// What has come so far, as text.
    var text: String { String(decoding: input, as: UTF8.self) }

    /// The statuses of all answers so far, by their status lines.
    var statuses: [String] {
        text.split(separator: "HTTP/1.1 ").map { String($0.prefix(3)) }
    }

    func say(_ text: String) { say(Array(text.utf8)) }
    func say(_ bytes: [UInt8]) {
        output += bytes
        stream?.scheduleFlush()
    }
    /// Ends its sending side once all is said.
    func finish() { stream?.finish(progressTimeout: .seconds(60)) }
    func close() {
        stream?.close()
        stream = nil
    }

    func streamOpened(_ stream: TCPStream) {}
    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        unsafe input.append(contentsOf: bytes)
        unsafe onReceive(Array(bytes))
    }
    func streamEnded() { hasEnded = true }
    func streamFailed(_ failure: StreamFailure) {
        (hasEnded, isBroken) = (true, true)
        stream = nil
    }
    var streamOutput: UnsafeRawBufferPointer {
        // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
        unsafe output.withUnsafeBytes { unsafe $0 }
    }
    func streamWrote(_ count: Int) { output.removeFirst(count) }
}
