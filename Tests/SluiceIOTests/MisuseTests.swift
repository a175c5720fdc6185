import SluiceCore
import SluiceIO
import Testing

// What a caller could do wrong, and what would then be somebody else's descriptor, thread or record.
@Suite("Misuse of input and output ends the process")
struct MisuseTests {
    private final class Watcher: ReadinessHandler {
        func ready(_ readiness: Readiness) {}
    }

    @Test("A descriptor is unregistered once")
    func unregistered() async {
        await #expect(processExitsWith: .failure) {
            let loop = EventLoop(kernel: ScriptedKernel())
            let token = loop.register(Watcher(), descriptor: 3, for: .read)
            loop.unregister(token, descriptor: 3)
            _ = loop.register(Watcher(), descriptor: 3, for: .read)
            loop.unregister(token, descriptor: 3)
        }
    }

    @Test("A stream starts once")
    func started() async {
        await #expect(processExitsWith: .failure) {
            let loop = EventLoop(kernel: ScriptedKernel())
            let stream = TCPStream(
                loop: loop,
                accepted: 5,
                peer: .loopback(port: 1),
                tls: nil
            )
            stream.start()
            stream.start()
        }
    }

    @Test("A listener is closed once")
    func closed() async {
        await #expect(processExitsWith: .failure) {
            let loop = EventLoop(kernel: ScriptedKernel())
            let listener = try TCPListener(
                loop: loop,
                address: .loopback(port: 0),
                sharesPort: false
            ) { _, _ in true }
            listener.close()
            listener.close()
        }
    }

    @Test("A descriptor is closed once, at the real kernel")
    func descriptors() async {
        await #expect(processExitsWith: .failure) {
            let kernel = try LinuxKernel()
            let descriptor = try kernel.listen(
                on: .loopback(port: 0),
                backlog: 1,
                sharesPort: false
            )
            kernel.close(descriptor)
            kernel.close(descriptor)
        }
    }

    @Test("A pool of threads is stopped once")
    func stopped() async {
        await #expect(processExitsWith: .failure) {
            let pool = OffloadPool(threadCount: 1)
            pool.stop()
            pool.stop()
        }
    }
}
