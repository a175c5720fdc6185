import SluiceConfiguration
import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceTLS
import SluiceTelemetry
import Synchronization

// Where the data plane listens: at each address of each listener's name. A name that isn't found is
// looked for again like a backend's, and listened on when it is there.
extension GatewayRuntime {
    /// Opens all listeners whose names are found now; the others follow when theirs are.
    static func open(
        _ configuration: Configuration,
        on workers: WorkerGroup,
        _ desk: ChangeDesk,
        _ log: EventLog
    ) throws(CompileFailure) {
        let names = configuration.listeners.map { name(of: $0) }
        let found = desk.look(for: names.filter { !$0.isNumeric })
        var waiting: [HostName: [Configuration.Listener]] = [:]
        for (listener, name) in zip(configuration.listeners, names) {
            // Also a broken certificate of a listener that waits ends the start.
            _ = try SnapshotCompiler.certificates(of: listener)
            if let addresses = found[name] ?? (name.isNumeric ? try? name.resolve() : nil) {
                try open(listener, at: addresses, on: workers, configuration, log)
            } else if name.isNumeric {
                throw CompileFailure(
                    sentence: "listener \(listener.address.text): it isn't an address"
                )
            } else {
                waiting[name, default: []].append(listener)
            }
        }
        guard !waiting.isEmpty else { return }
        let left = Mutex(waiting)
        desk.wait(for: Array(waiting.keys)) { name, addresses in
            for listener in left.withLock({ $0.removeValue(forKey: name) }) ?? [] {
                do throws(CompileFailure) {
                    try open(listener, at: addresses, on: workers, configuration, log)
                } catch {
                    log.write(.error, error.sentence, [])
                }
            }
        }
    }

    private static func name(of listener: Configuration.Listener) -> HostName {
        HostName(host: listener.address.host, port: listener.address.port)
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
            throw CompileFailure(
                sentence: "listener \(listener.address.text): \(error.description)"
            )
        }
    }
}
