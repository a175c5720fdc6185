private import Glibc
import SluiceCore
package import SluiceIO
package import SluiceIngress
package import SluiceTLS
private import Synchronization

/// All workers: starts their threads, sends them what to do, and waits for them.
package final class WorkerGroup: Sendable {
    private struct Member: Sendable {
        let thread: LoopThread
        let worker: Confined<Worker>
        let loop: LoopHandle
    }

    private let members: [Member]

    /// Starts `count` workers, one to a core if there are several and no quota bounds them.
    package init(count: Int, shared: Worker.Shared) throws(KernelFailure) {
        let cores = Machine.coreCount
        // Processes with a share of the machine's time would all sit on its first cores.
        let isBounded = CPUQuota.ofThisProcess() != nil
        var members: [Member] = []
        for number in 0..<count {
            let kernel = Confined(try LinuxKernel())
            let made = Handover<(Confined<Worker>, LoopHandle)>()
            let core = !isBounded && (count > 1 || cores == 1) ? number : nil
            let thread = LoopThread.start(core: core) {
                let loop = EventLoop(kernel: kernel.value)
                let worker = Worker(loop: loop, number: number, shared: shared)
                made.put((Confined(worker), loop.handle))
                loop.run(name: "worker-\(number)")
                worker.closeAll()
            }
            let (worker, loop) = made.take()
            members.append(Member(thread: thread, worker: worker, loop: loop))
        }
        self.members = members
        shared.mailboxes.register(
            members.map { (worker: $0.worker, loop: $0.loop) }
        )
    }

    /// How many workers there are.
    package var count: Int { members.count }

    /// Runs `task` on every worker's own thread, and waits until all have.
    package func onEach<Value: Sendable>(
        _ task: @escaping @Sendable (Worker) -> Value
    ) -> [Value] {
        let results = members.map { member in
            let result = Handover<Value>()
            let worker = member.worker
            member.loop.submit { result.put(task(worker.value)) }
            return result
        }
        return results.map { $0.take() }
    }

    /// Runs `task` on every worker's own thread, soon.
    package func post(_ task: @escaping @Sendable (Worker) -> Void) {
        for member in members {
            let worker = member.worker
            member.loop.submit { task(worker.value) }
        }
    }

    /// Hands every worker the snapshot; returns when all use it.
    package func publish(_ snapshot: Snapshot) {
        snapshot.prepare()
        _ = onEach { $0.publish(snapshot) }
    }

    /// Opens one address on every worker; returns where, with the port the kernel chose.
    package func listen(
        on address: SocketAddress,
        name: String,
        tls: TLSServerContext?,
        limits: IngressLimits,
        crossOrigin: CrossOriginPolicy? = nil
    ) throws(KernelFailure) -> SocketAddress {
        var bound = address
        for member in members {
            let result = Handover<Result<SocketAddress, KernelFailure>>()
            let (worker, target) = (member.worker, bound)
            member.loop.submit {
                do throws(KernelFailure) {
                    result.put(
                        .success(
                            try worker.value.listen(
                                on: target,
                                name: name,
                                tls: tls,
                                limits: limits,
                                crossOrigin: crossOrigin
                            )
                        )
                    )
                } catch {
                    result.put(.failure(error))
                }
            }
            bound = try result.take().get()
        }
        return bound
    }

    /// Connections and requests still open, over all workers.
    package var openWork: Int { onEach { $0.openWork }.reduce(0, +) }

    /// Closes everything and ends the threads.
    package func stop() {
        for member in members {
            let worker = member.worker
            member.loop.submit { worker.value.loop.stop() }
        }
        for member in members { member.thread.join() }
    }
}

/// A value that one thread makes and another waits for.
final class Handover<Value: Sendable>: Sendable {
    private let place = Mutex<Value?>(nil)

    /// Leaves the value.
    func put(_ value: Value) { place.withLock { $0 = value } }

    /// Waits for the value.
    ///
    /// Start-up and control only; a few looks a millisecond apart are cheaper than a condition
    /// variable is to read.
    func take() -> Value {
        while true {
            if let value = place.withLock({ $0 }) { return value }
            usleep(200)
        }
    }
}
