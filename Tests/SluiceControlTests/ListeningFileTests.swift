import Foundation
import SluiceCore
import SluiceIO
import Synchronization
import Testing

/// A folder for sockets, with a short path.
private final class SocketFolder {
    let path: String

    init() throws {
        path = "/tmp/sluice-\(UInt64.random(in: .min ... .max))"
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var file: String { "\(path)/a.sock" }
    var address: SocketAddress { .unix(path: file) }
    var entries: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    }
}

@Suite("Listening on socket files", .timeLimit(.minutes(2)))
struct ListeningFileTests {
    private func listen(
        _ kernel: LinuxKernel,
        on address: SocketAddress,
        isShared: Bool = false
    ) throws -> Int32 {
        try kernel.listen(on: address, backlog: 16, sharesPort: isShared)
    }

    private func accepts(_ kernel: LinuxKernel, _ descriptor: Int32) -> SocketAddress? {
        guard case .accepted(let connection, let peer) = kernel.accept(from: descriptor) else {
            return nil
        }
        kernel.close(connection)
        return peer
    }

    @Test("The file is for owner and group, and goes when the socket closes")
    func life() throws {
        let folder = try SocketFolder()
        let kernel = try LinuxKernel()
        let listener = try listen(kernel, on: folder.address)
        let attributes = try FileManager.default.attributesOfItem(atPath: folder.file)
        #expect(attributes[.posixPermissions] as? Int == 0o660)
        #expect(folder.entries == ["a.sock"])
        let client = try kernel.connect(to: folder.address)
        let peer = try #require(accepts(kernel, listener))
        #expect(peer.description == "unix:" && peer.host == "unix:" && peer.network == nil)
        kernel.close(client)
        kernel.close(listener)
        #expect(folder.entries.isEmpty)
    }

    @Test("Loops share one queue, and the last to close ends it")
    func shared() throws {
        let folder = try SocketFolder()
        let kernels = try (0..<3).map { _ in try LinuxKernel() }
        let listeners = try kernels.map { try listen($0, on: folder.address, isShared: true) }
        #expect(Set(listeners).count == 3)
        let clients = try (0..<3).map { _ in try kernels[0].connect(to: folder.address) }
        // Withdrawn is what nothing can connect to; what waits is accepted by whichever loop.
        kernels[1].withdraw(listeners[1])
        #expect(folder.entries.isEmpty)
        #expect(throws: KernelFailure.self) { try kernels[0].connect(to: folder.address) }
        kernels[1].close(listeners[1])
        #expect(accepts(kernels[0], listeners[0]) != nil)
        kernels[0].close(listeners[0])
        #expect(accepts(kernels[2], listeners[2]) != nil)
        #expect(accepts(kernels[2], listeners[2]) != nil)
        #expect(accepts(kernels[2], listeners[2]) == nil)
        kernels[2].close(listeners[2])
        for client in clients { kernels[0].close(client) }
        // And the path is free again.
        let again = try listen(kernels[0], on: folder.address, isShared: true)
        kernels[0].close(again)
    }

    @Test("Of loops that wait for one queue each has its share, though each connection comes alone")
    func turns() throws {
        let folder = try SocketFolder()
        let address = folder.address
        let counts = Mutex([0, 0])
        let running = Mutex<[(handle: LoopHandle, stop: @Sendable () -> Void)]>([])
        let threads = try (0..<2).map { place in
            let kernel = Confined(try LinuxKernel())
            return LoopThread.start(core: nil) {
                let loop = EventLoop(kernel: kernel.value)
                let listener = try? TCPListener(loop: loop, address: address, sharesPort: true) {
                    descriptor,
                    _ in
                    counts.withLock { $0[place] += 1 }
                    kernel.value.close(descriptor)
                    return true
                }
                listener?.start()
                let moved = Confined((loop: loop, listener: listener))
                running.withLock {
                    $0.append(
                        (
                            loop.handle,
                            {
                                moved.value.listener?.close()
                                moved.value.loop.stop()
                            }
                        )
                    )
                }
                loop.run(name: "turns-\(place)")
            }
        }
        while running.withLock({ $0.count }) < 2 { usleep(1_000) }
        let client = try LinuxKernel()
        for number in 1...40 {
            let connection = try client.connect(to: address)
            while counts.withLock({ $0.reduce(0, +) }) < number { usleep(100) }
            client.close(connection)
        }
        for (handle, stop) in running.withLock({ $0 }) { handle.submit(stop) }
        for thread in threads { thread.join() }
        let shares = counts.withLock { $0 }
        #expect(shares.reduce(0, +) == 40 && shares.allSatisfy { $0 >= 10 }, "\(shares)")
        #expect(folder.entries.isEmpty)
    }

    @Test("A file that a dead process left is replaced")
    func stale() throws {
        let folder = try SocketFolder()
        let kernel = try LinuxKernel()
        try leaveStale(at: folder.file)
        #expect(folder.entries == ["a.sock"])
        let listener = try listen(kernel, on: folder.address)
        let client = try kernel.connect(to: folder.address)
        #expect(accepts(kernel, listener) != nil)
        kernel.close(client)
        kernel.close(listener)
    }

    @Test("A file in use is refused, names who listens, and stays")
    func inUse() throws {
        let folder = try SocketFolder()
        let kernel = try LinuxKernel()
        let listener = try listen(kernel, on: folder.address)
        let failure = #expect(throws: KernelFailure.self) { try listen(kernel, on: folder.address) }
        #expect(failure?.text.contains("another process listens there (") == true)
        #expect(failure?.text.contains("process \(getpid())") == true)
        #expect(ListenerHolder.of([folder.address])?.isNamedLikeThisProcess == true)
        let client = try kernel.connect(to: folder.address)
        kernel.close(client)
        kernel.close(listener)
    }

    @Test("A file that is no socket stays, and a folder that isn't there is named")
    func unknown() throws {
        let folder = try SocketFolder()
        let kernel = try LinuxKernel()
        try "precious".write(toFile: folder.file, atomically: true, encoding: .utf8)
        let failure = #expect(throws: KernelFailure.self) { try listen(kernel, on: folder.address) }
        #expect(failure?.text.contains("isn't a socket") == true)
        #expect(try String(contentsOfFile: folder.file, encoding: .utf8) == "precious")
        let absent = #expect(throws: KernelFailure.self) {
            try listen(kernel, on: .unix(path: "\(folder.path)/none/a.sock"))
        }
        #expect(absent?.text.contains("the folder \(folder.path)/none/") == true)
        let long = folder.path + "/" + String(repeating: "a", count: 107)
        let tooLong = #expect(throws: KernelFailure.self) {
            try listen(kernel, on: .unix(path: long))
        }
        #expect(tooLong?.text.contains("at most 107 bytes") == true)
    }

    @Test("A file that another has put in its place is left alone")
    func replaced() throws {
        let folder = try SocketFolder()
        let kernel = try LinuxKernel()
        let listener = try listen(kernel, on: folder.address)
        try FileManager.default.removeItem(atPath: folder.file)
        try leaveStale(at: folder.file)
        kernel.close(listener)
        #expect(folder.entries == ["a.sock"])
    }

    /// A socket's file without a listener, as a process that was killed leaves it.
    private func leaveStale(at path: String) throws {
        let made = Process()
        made.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        made.arguments = [
            "python3", "-c", "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
            path,
        ]
        try made.run()
        made.waitUntilExit()
        try #require(made.terminationStatus == 0)
    }
}

@Suite("Who listens on an address that is in use")
struct ListenerHolderTests {
    @Test("A port's holder is found by name and number")
    func port() throws {
        let kernel = try LinuxKernel()
        let listener = try kernel.listen(
            on: .loopback(port: 0),
            backlog: 1,
            sharesPort: false
        )
        let address = SocketAddress.loopback(port: kernel.localPort(of: listener))
        let holder = try #require(ListenerHolder.of([address]))
        #expect(holder.description.hasSuffix("process \(getpid())"))
        #expect(holder.isNamedLikeThisProcess)
        kernel.close(listener)
        #expect(ListenerHolder.of([address]) == nil)
    }
}
