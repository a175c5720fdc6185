import Glibc
import SluiceCore
import SluiceIO
import SluiceSimulation
import Testing

@Suite("A kernel that isn't real behaves like one that is")
struct SimulatedKernelTests {
    private static let address = SocketAddress.loopback(port: 80)

    /// Two kernels with a connection between them, after its handshake.
    private struct Pair {
        let clock = VirtualClock()
        let network: SimulatedNetwork
        let client: SimulatedKernel
        let server: SimulatedKernel
        let listener: Int32
        let left: Int32
        let right: Int32

        init(_ plan: FaultPlan = FaultPlan()) throws {
            network = SimulatedNetwork(clock: clock, seed: 1)
            network.use(plan, for: SimulatedKernelTests.address)
            client = network.makeKernel(name: "client")
            server = network.makeKernel(name: "server")
            listener = try server.listen(
                on: SimulatedKernelTests.address,
                backlog: 10,
                sharesPort: false
            )
            left = try client.connect(to: SimulatedKernelTests.address)
            clock.advance(byNanoseconds: 1_000_000)
            guard case .accepted(let descriptor, _) = server.accept(from: listener) else {
                throw World.Failure("nobody to accept")
            }
            right = descriptor
            client.watch(left, for: [.read, .write], token: 1)
            server.watch(right, for: .read, token: 2)
        }

        func pass() { clock.advance(byNanoseconds: 1_000_000) }
    }

    private static func wait(_ kernel: SimulatedKernel) -> Readiness? {
        unsafe withUnsafeTemporaryAllocation(of: Readiness.self, capacity: 8) { events in
            let count = unsafe kernel.wait(into: events, until: nil)
            return unsafe count == 0 ? nil : events[0]
        }
    }

    private static func write(_ text: String, _ kernel: SimulatedKernel, _ descriptor: Int32) -> Int
    {
        var text = text
        let result = text.withUTF8 {
            unsafe kernel.write(descriptor, UnsafeRawBufferPointer($0))
        }
        return outcome(result)
    }

    /// What was read, or the outcome in words.
    private static func read(_ kernel: SimulatedKernel, _ descriptor: Int32) -> String {
        unsafe withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { memory in
            switch unsafe kernel.read(descriptor, into: memory) {
            case .moved(let count):
                unsafe String(decoding: memory[..<count], as: UTF8.self)
            case .wouldBlock: "(would block)"
            case .ended: "(ended)"
            case .failed(let code): "(\(code))"
            }
        }
    }

    private static func outcome(_ result: TransferResult) -> Int {
        switch result {
        case .moved(let count): count
        case .wouldBlock: 0
        case .ended: -1
        case .failed(let code): -Int(code)
        }
    }

    @Test("Readiness lasts until all is read, and comes with the bytes' arrival, not before")
    func levels() throws {
        let pair = try Pair()
        #expect(Self.wait(pair.server) == nil)
        #expect(Self.write("hello", pair.client, pair.left) == 5)
        #expect(Self.wait(pair.server) == nil)
        pair.pass()
        for _ in 0..<3 { #expect(Self.wait(pair.server)?.isReadable == true) }
        #expect(Self.read(pair.server, pair.right) == "hello")
        #expect(Self.wait(pair.server) == nil)
        #expect(Self.read(pair.server, pair.right) == "(would block)")
    }

    @Test("A full buffer takes nothing more, and is writable again when a third is free")
    func fullBuffer() throws {
        var plan = FaultPlan()
        plan.buffer = 9...9
        let pair = try Pair(plan)
        #expect(Self.write("0123456789", pair.client, pair.left) == 9)
        #expect(Self.write("x", pair.client, pair.left) == 0)
        pair.pass()
        #expect(Self.wait(pair.client) == nil)
        #expect(Self.read(pair.server, pair.right) == "012345678")
        #expect(Self.wait(pair.client)?.isWritable == true)
    }

    @Test("After a half close the other way still works, and both ends are a hang-up")
    func halfClose() throws {
        let pair = try Pair()
        #expect(Self.write("bye", pair.client, pair.left) == 3)
        pair.client.shutdownWrite(pair.left)
        #expect(Self.write("more", pair.client, pair.left) == -Int(EPIPE))
        pair.pass()
        #expect(Self.read(pair.server, pair.right) == "bye")
        #expect(Self.read(pair.server, pair.right) == "(ended)")
        #expect(Self.wait(pair.server)?.isBroken == false)
        #expect(Self.write("you too", pair.server, pair.right) == 7)
        pair.server.shutdownWrite(pair.right)
        pair.pass()
        #expect(Self.wait(pair.server)?.isBroken == true)
        #expect(Self.read(pair.client, pair.left) == "you too")
        #expect(Self.read(pair.client, pair.left) == "(ended)")
    }

    @Test("Closing with bytes unread resets the other end, once and for all")
    func resetByUnread() throws {
        let pair = try Pair()
        _ = Self.write("unread", pair.client, pair.left)
        pair.pass()
        pair.server.unwatch(pair.right)
        pair.server.close(pair.right)
        pair.pass()
        let readiness = try #require(Self.wait(pair.client))
        #expect(readiness.isBroken && readiness.isReadable && readiness.isWritable)
        #expect(Self.read(pair.client, pair.left) == "(\(ECONNRESET))")
        #expect(Self.read(pair.client, pair.left) == "(ended)")
        #expect(Self.write("late", pair.client, pair.left) == -Int(EPIPE))
    }

    @Test("Bytes that reach a closed end come back as a reset; what came before can be read")
    func resetByWriting() throws {
        let pair = try Pair()
        _ = Self.write("answer", pair.server, pair.right)
        pair.server.unwatch(pair.right)
        pair.server.close(pair.right)
        pair.pass()
        #expect(Self.write("question", pair.client, pair.left) == 8)
        pair.pass()
        #expect(Self.read(pair.client, pair.left) == "answer")
        #expect(Self.read(pair.client, pair.left) == "(\(ECONNRESET))")
    }

    @Test("Nobody listens: the attempt is writable and has failed")
    func refused() throws {
        let network = SimulatedNetwork(clock: VirtualClock(), seed: 1)
        let kernel = network.makeKernel(name: "client")
        let descriptor = try kernel.connect(to: Self.address)
        kernel.watch(descriptor, for: .write, token: 1)
        #expect(Self.wait(kernel) == nil)
        network.clock.advance(byNanoseconds: 1_000_000)
        #expect(Self.wait(kernel)?.isWritable == true)
        #expect(kernel.connectFailure(of: descriptor) == ECONNREFUSED)
    }

    @Test("An accept may find nothing but a dead connection, or no descriptor")
    func acceptFaults() throws {
        for exhausted in [false, true] {
            let network = SimulatedNetwork(clock: VirtualClock(), seed: 1)
            var plan = FaultPlan()
            plan.aborted = exhausted ? 0 : 1_000
            plan.exhausted = exhausted ? 1_000 : 0
            network.use(plan, for: Self.address)
            let kernel = network.makeKernel(name: "both")
            let listener = try kernel.listen(on: Self.address, backlog: 1, sharesPort: false)
            let descriptor = try kernel.connect(to: Self.address)
            network.clock.advance(byNanoseconds: 1_000_000)
            switch kernel.accept(from: listener) {
            case .aborted: #expect(!exhausted)
            case .exhausted: #expect(exhausted)
            default: Issue.record("a connection")
            }
            network.clock.advance(byNanoseconds: 1_000_000)
            #expect((kernel.connectFailure(of: descriptor) == ECONNRESET) == !exhausted)
        }
    }

    @Test("Silence swallows everything, the end included")
    func silence() throws {
        var plan = FaultPlan()
        plan.silence = 1_000
        plan.horizon = 3...3
        let pair = try Pair(plan)
        #expect(Self.write("abc", pair.client, pair.left) == 3)
        #expect(Self.write("def", pair.client, pair.left) == 3)
        pair.client.unwatch(pair.left)
        pair.client.close(pair.left)
        pair.clock.advance(byNanoseconds: 3_600_000_000_000)
        #expect(Self.read(pair.server, pair.right) == "abc")
        #expect(Self.read(pair.server, pair.right) == "(would block)")
        #expect(pair.network.openDescriptorCount == 2)
    }

    @Test("Closing twice, using what is closed and closing what is watched are all seen")
    func violations() throws {
        let pair = try Pair()
        #expect(pair.network.openDescriptorCount == 3)
        pair.client.close(pair.left)
        #expect(pair.network.violations.count == 1)
        pair.client.close(pair.left)
        #expect(pair.network.violations.count == 2)
        _ = Self.read(pair.client, pair.left)
        #expect(pair.network.violations.count == 3)
        pair.server.unwatch(pair.right)
        pair.server.unwatch(pair.right)
        #expect(pair.network.violations.count == 4)
        #expect(pair.network.openDescriptorCount == 2)
    }

    @Test("A loop that spins without moving anything is told from one that works")
    func spinning() throws {
        final class Sleeper: ReadinessHandler {
            func ready(_ readiness: Readiness) {}
        }
        let world = World(seed: 1)
        let (loop, kernel) = world.makeLoop(name: "sleeper")
        let listener = try kernel.listen(on: Self.address, backlog: 1, sharesPort: false)
        let sleeper = Sleeper()
        _ = loop.register(sleeper, descriptor: listener, for: .read)
        _ = try kernel.connect(to: Self.address)
        #expect(throws: World.Failure.self) { try world.pass(.seconds(3_600)) }
    }
}
