private import Glibc
import SluiceConfiguration
import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceTLS
import SluiceTelemetry
import Synchronization

// Where the data plane listens: at each address of each listener's name. A name that isn't found is
// looked for again like a backend's, and listened on when it is there. Ports are shared with a gateway that
// this one is to replace; a socket's file is one process's, and is taken when the first lets go.
extension GatewayRuntime {
    /// Opens all listeners whose names are found now; the others follow when theirs are.
    static func open(
        _ configuration: Configuration,
        on workers: WorkerGroup,
        _ coordinator: ChangeCoordinator,
        _ control: ControlLoop,
        _ readiness: GatewayReadiness,
        _ log: EventLog
    ) throws(CompileFailure) {
        let names = configuration.listeners.map(\.address.name)
        var taken: [(listener: Configuration.Listener, failure: CompileFailure)] = []
        var isServing = false
        let found = coordinator.look(for: names.filter { !$0.isNumeric })
        var waiting: [HostName: [Configuration.Listener]] = [:]
        for (listener, name) in zip(configuration.listeners, names) {
            // Also a broken certificate of a listener that waits ends the start.
            _ = try SnapshotCompiler.certificates(of: listener)
            if let addresses = found[name] ?? (name.isNumeric ? try? name.resolve() : nil) {
                do throws(CompileFailure) {
                    try open(listener, at: addresses, on: workers, configuration, log)
                    isServing = true
                } catch {
                    guard error.isAddressTaken else { throw error }
                    taken.append((listener, error))
                }
            } else if name.isNumeric {
                throw CompileFailure(
                    sentence: "listener \(listener.address.text): it isn't an address"
                )
            } else {
                waiting[name, default: []].append(listener)
            }
        }
        if !isServing, waiting.isEmpty, let first = taken.first { throw first.failure }
        keepTrying(taken, on: workers, configuration, control, readiness, log)
        guard !waiting.isEmpty else { return }
        let left = Mutex(waiting)
        coordinator.wait(for: Array(waiting.keys)) { name, addresses in
            for listener in left.withLock({ $0.removeValue(forKey: name) }) ?? [] {
                do throws(CompileFailure) {
                    try open(listener, at: addresses, on: workers, configuration, log)
                } catch {
                    log.write(.error, error.sentence, [])
                }
            }
        }
    }

    /// Tries socket files that another process listens on until it doesn't; the other listeners serve.
    private static func keepTrying(
        _ taken: [(listener: Configuration.Listener, failure: CompileFailure)],
        on workers: WorkerGroup,
        _ configuration: Configuration,
        _ control: ControlLoop,
        _ readiness: GatewayReadiness,
        _ log: EventLog
    ) {
        guard !taken.isEmpty else { return }
        for (_, failure) in taken {
            log.write(.warning, failure.sentence + "; it is served as soon as it is free", [])
        }
        let left = Mutex(taken.map(\.listener))
        control.repeatedly(every: .milliseconds(250)) {
            // What leaves begins nothing, and workers that have ended would never answer.
            guard !readiness.isDraining else { return }
            left.withLock { listeners in
                listeners.removeAll { listener in
                    do throws(CompileFailure) {
                        let addresses = (try? listener.address.name.resolve()) ?? []
                        try open(listener, at: addresses, on: workers, configuration, log)
                    } catch {
                        guard !error.isAddressTaken else { return false }
                        log.write(.error, error.sentence, [])
                    }
                    return true
                }
            }
        }
    }

    private static func open(
        _ listener: Configuration.Listener,
        at addresses: [SocketAddress],
        on workers: WorkerGroup,
        _ configuration: Configuration,
        _ log: EventLog
    ) throws(CompileFailure) {
        let context = try SnapshotCompiler.certificates(of: listener)
        let limits = limits(configuration)
        let crossOrigin = listener.cors.map {
            CrossOriginPolicy(
                origins: $0.origins,
                headers: $0.headers,
                maxAgeSeconds: Int($0.maxAge.components.seconds)
            )
        }
        do throws(KernelFailure) {
            let bound = try SocketAddress.listen(atEach: addresses) {
                address throws(KernelFailure) in
                try workers.listen(
                    on: address,
                    name: listener.address.text,
                    tls: context,
                    limits: limits,
                    crossOrigin: crossOrigin
                )
            }
            for address in bound {
                log.write(
                    .info,
                    "listening",
                    [("address", address.description), ("tls", context == nil ? "off" : "on")]
                )
            }
        } catch {
            var failure = CompileFailure(
                sentence:
                    "listener \(listener.address.text): \(ListenerHolder.sentence(of: error, at: addresses))"
            )
            failure.isAddressTaken = listener.address.isSocketFile && error.code == EADDRINUSE
            throw failure
        }
    }
}
