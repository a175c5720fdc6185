import Glibc
import SluiceCore
import SluiceIO
import Testing

@Suite("A listening socket of one loop")
struct TCPListenerTests {
    private final class Taken {
        var descriptors: [Int32] = []
        var takesMore = true
    }

    private let kernel = ScriptedKernel()
    private let loop: EventLoop
    private let taken = Taken()

    init() { loop = EventLoop(kernel: kernel) }

    private func listener(
        _ address: SocketAddress = .loopback(port: 0),
        sharesPort: Bool = false
    ) throws -> TCPListener {
        let listener = try TCPListener(loop: loop, address: address, sharesPort: sharesPort) {
            [taken] descriptor, _ in
            taken.descriptors.append(descriptor)
            return taken.takesMore
        }
        listener.start()
        return listener
    }

    private func offer(_ count: Int) {
        kernel.accepts += (0..<count).map {
            .accepted(descriptor: Int32(100 + $0), peer: .loopback(port: 1))
        }
    }

    private func tick(readable: Bool = true) {
        if readable { kernel.report(3, readable: true) }
        loop.tick(until: nil)
    }

    @Test("The port that the kernel chose is told; one that was asked for stays")
    func port() throws {
        let chosen = try listener()
        #expect(chosen.address.port == 4_321)
        #expect(try listener(.loopback(port: 80)).address.port == 80)
        #expect(try listener(.unix(path: "/run/s")).address == .unix(path: "/run/s"))
    }

    @Test("A burst is taken 64 at a time, so that it can't starve those already open")
    func batch() throws {
        let listener = try listener()
        offer(100)
        tick()
        #expect(taken.descriptors.count == 64)
        tick()
        #expect(taken.descriptors.count == 100)
        listener.close()
    }

    @Test("Loops that wait for one queue take one each and go to its end")
    func turns() throws {
        let listener = try listener(.unix(path: "/run/s"), sharesPort: true)
        offer(3)
        let token = kernel.tokens[3]
        tick()
        #expect(taken.descriptors == [100] && kernel.watched[3] == .read)
        #expect(kernel.tokens[3] != token)
        listener.close()
    }

    @Test("A connection that died in the queue is passed over, and the next is taken")
    func aborted() throws {
        let listener = try listener()
        kernel.accepts = [.aborted, .aborted]
        offer(1)
        tick()
        #expect(taken.descriptors == [100] && kernel.watched[3] == .read)
        listener.close()
    }

    @Test("Without descriptors it rests for 50 ms instead of spinning", arguments: [true, false])
    func rests(isExhausted: Bool) throws {
        let listener = try listener()
        if isExhausted {
            kernel.accepts = [.exhausted]
        } else {
            offer(1)
            taken.takesMore = false
        }
        tick()
        #expect(kernel.watched[3] == nil && loop.timerCount == 1)
        // Somebody starts it meanwhile, which ends no rest.
        listener.start()
        #expect(kernel.watched[3] == nil)
        kernel.time = kernel.time + .milliseconds(60)
        tick(readable: false)
        #expect(kernel.watched[3] == .read && loop.timerCount == 0)
        listener.close()
    }

    @Test("Paused while it rests, it stays so until it is started")
    func paused() throws {
        let listener = try listener()
        kernel.accepts = [.exhausted]
        tick()
        listener.pause()
        #expect(loop.timerCount == 0)
        kernel.time = kernel.time + .seconds(1)
        tick(readable: false)
        #expect(kernel.watched[3] == nil)
        listener.start()
        #expect(kernel.watched[3] == .read)
        listener.close()
    }

    @Test("The last look takes all that wait, and withdraws the socket before")
    func last() throws {
        let listener = try listener()
        offer(200)
        listener.acceptWaiting()
        listener.close()
        #expect(taken.descriptors.count == 200)
        #expect(kernel.deeds == ["withdraw 3", "close 3"] && loop.descriptorCount == 0)
    }
}

@Suite("Addresses of sockets")
struct SocketAddressTests {
    @Test(
        "An IPv6 address is written as RFC 5952 says",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("1:0:0:0:0:0:0:0", "1::"),
            // §4.2.2: one group of zeros isn't shortened; §4.2.3: the longest run is, the first of equals.
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"), ("00AB:0:0:0:0:0:0:0CD", "ab::cd"),
        ]
    )
    func ipv6(text: String, canonical: String) throws {
        let address = try #require(try SocketAddress.resolve(host: text, port: 443).first)
        #expect(address.host == canonical && address.description == "[\(canonical)]:443")
    }

    @Test(
        "Clients are told apart by IPv4 address, by the first 64 bits of IPv6, and not at a socket file"
    )
    func networks() throws {
        func network(_ host: String) throws -> UInt64? {
            try SocketAddress.resolve(host: host, port: 1).first?.network
        }
        #expect(try network("192.0.2.1") == 0xC000_0201)
        #expect(try network("::ffff:192.0.2.1") == 0xC000_0201)
        #expect(try network("2001:db8:1:2::1") == 0x2001_0DB8_0001_0002)
        #expect(try network("2001:db8:1:2:ffff::9") == network("2001:db8:1:2::1"))
        #expect(try network("2001:db8:1:3::1") != network("2001:db8:1:2::1"))
        #expect(SocketAddress.unix(path: "/run/s").network == nil)
    }

    @Test(
        "All addresses of a name get the port that the first was given; one that isn't ours is passed over"
    )
    func each() throws {
        let names = try ["127.0.0.1", "127.0.0.2", "::1"].flatMap {
            try SocketAddress.resolve(host: $0, port: 0)
        }
        var asked: [SocketAddress] = []
        let bound = try SocketAddress.listen(atEach: names) { address throws(KernelFailure) in
            asked.append(address)
            if address.host == "127.0.0.2" {
                throw KernelFailure(call: "bind", code: EADDRNOTAVAIL, text: "no")
            }
            return address.port == 0 ? address.with(port: 5_000) : address
        }
        #expect(asked.map(\.port) == [0, 5_000, 5_000])
        #expect(bound.map(\.description) == ["127.0.0.1:5000", "[::1]:5000"])
    }

    @Test("An address that is in use fails all, and so do addresses of which none is ours")
    func none() {
        func outcome(_ code: Int32) -> Int32? {
            let addresses = [SocketAddress.loopback(port: 1), .loopback(port: 2)]
            do throws(KernelFailure) {
                _ = try SocketAddress.listen(atEach: addresses) { address throws(KernelFailure) in
                    guard address.port == 1 || code == EADDRNOTAVAIL else { return address }
                    throw KernelFailure(call: "bind", code: code, text: "no")
                }
                return nil
            } catch {
                return error.code
            }
        }
        #expect(outcome(EADDRINUSE) == EADDRINUSE)
        #expect(outcome(EADDRNOTAVAIL) == EADDRNOTAVAIL)
    }
}
