import ArgumentParser
private import Glibc
import SluiceAdmin
import SluiceConfiguration
import SluiceControl
import SluiceCore
import SluiceIO
import SluiceTelemetry
import Synchronization

/// The only place where rooms are wired together into a running gateway.
enum Bootstrap {
    /// Starts gateway and admin server; throws an exit code after saying what is wrong.
    static func start(
        _ configuration: Configuration,
        file: String?,
        log: EventLog
    ) throws -> GatewayProcess {
        Machine.useOneArena()
        // A peer that closes early is an error on its connection, not a signal to the process.
        _ = signal(SIGPIPE, SIG_IGN)
        // Before any thread starts, so that all inherit it and only `waitForSignals` sees them.
        GatewayProcess.blockSignals()
        do throws(CompileFailure) {
            let runtime = try GatewayRuntime(
                configuration: configuration,
                file: file,
                version: Sluice.versionText,
                log: log
            )
            return try GatewayProcess(runtime: runtime, log: log)
        } catch {
            log.close()
            Terminal.complain("sluice: \(error.sentence)")
            throw ExitCode(1)
        }
    }
}

/// A started gateway, and the signals that steer it.
final class GatewayProcess: Sendable {
    let runtime: GatewayRuntime
    /// Where the admin API listens; nil while its name has no address, or another has it.
    let adminAddress: SocketAddress?
    private let admin: Confined<AdminServer>

    init(runtime: GatewayRuntime, log: EventLog) throws(CompileFailure) {
        self.runtime = runtime
        let wanted = runtime.configuration.admin.address
        let name = HostName(host: wanted.host, port: wanted.port)
        let admin = runtime.control.run { loop in
            Confined(AdminServer(loop: loop, runtime: runtime))
        }
        self.admin = admin
        runtime.atEnd { admin.value.close() }
        let known = name.isNumeric ? try? name.resolve() : runtime.desk.look(for: [name])[name]
        if let known {
            do throws(KernelFailure) {
                let bound = try GatewayProcess.listen(admin, at: known, runtime.control, log)
                adminAddress = bound.first
            } catch {
                guard error.code == EADDRINUSE else { throw GatewayProcess.refusal(error) }
                // The gateway that this one is to replace has the port until it has drained.
                adminAddress = nil
                log.write(
                    .warning,
                    "the admin address is taken; it is served as soon as it is free (`--admin ADDRESS` serves another at once)",
                    [("address", wanted.text)]
                )
                GatewayProcess.keepTrying(admin, at: known, runtime.control, log)
            }
            return
        }
        adminAddress = nil
        runtime.desk.wait(for: [name]) { _, addresses in
            do throws(KernelFailure) {
                _ = try GatewayProcess.listen(admin, at: addresses, runtime.control, log)
            } catch {
                log.write(.error, GatewayProcess.refusal(error).sentence, [])
                guard error.code == EADDRINUSE else { return }
                GatewayProcess.keepTrying(admin, at: addresses, runtime.control, log)
            }
        }
    }

    /// Serves the admin API at each of the addresses; returns where.
    private static func listen(
        _ admin: Confined<AdminServer>,
        at addresses: [SocketAddress],
        _ control: ControlLoop,
        _ log: EventLog
    ) throws(KernelFailure) -> [SocketAddress] {
        let result: Result<[SocketAddress], KernelFailure> = control.run { _ in
            do throws(KernelFailure) {
                return .success(try bind(admin.value, at: addresses))
            } catch {
                return .failure(error)
            }
        }
        let bound = try result.get()
        say(bound, log)
        return bound
    }

    /// Tries again on the control loop until the addresses are free.
    private static func keepTrying(
        _ admin: Confined<AdminServer>,
        at addresses: [SocketAddress],
        _ control: ControlLoop,
        _ log: EventLog
    ) {
        let isBound = Mutex(false)
        control.repeatedly(every: .milliseconds(250)) {
            guard !isBound.withLock({ $0 }) else { return }
            guard let bound = try? bind(admin.value, at: addresses) else { return }
            isBound.withLock { $0 = true }
            say(bound, log)
        }
    }

    private static func bind(
        _ admin: AdminServer,
        at addresses: [SocketAddress]
    ) throws(KernelFailure) -> [SocketAddress] {
        try SocketAddress.listen(atEach: addresses) { address throws(KernelFailure) in
            try admin.listen(on: address)
        }
    }

    private static func say(_ bound: [SocketAddress], _ log: EventLog) {
        for address in bound {
            log.write(.info, "admin listening", [("address", address.description)])
        }
    }

    private static func refusal(_ failure: KernelFailure) -> CompileFailure {
        CompileFailure(sentence: "admin.address: \(failure.description)")
    }

    static func blockSignals() {
        var set = signals()
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    private static func signals() -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGHUP, SIGUSR1] { unsafe sigaddset(&set, number) }
        return set
    }

    /// Serves until SIGTERM or SIGINT, then drains; SIGHUP reloads and opens the log anew,
    /// SIGUSR1 the latter alone; a second SIGTERM ends at once.
    func waitForSignals() {
        var set = GatewayProcess.signals()
        while true {
            var number: Int32 = 0
            guard unsafe sigwait(&set, &number) == 0 else { continue }
            if number == SIGHUP || number == SIGUSR1 { runtime.reopenLogs() }
            if number == SIGUSR1 { continue }
            if number == SIGHUP {
                runtime.desk.submit(.reload, by: "signal") { _ in }
                continue
            }
            // The kernel ignores default actions of PID 1, as which it runs in a container: a second
            // signal is ended by a handler, with the status that a shell gives the signal.
            for number in [SIGTERM, SIGINT] {
                _ = signal(number) { number in _exit(128 + number) }
            }
            var rest = sigset_t()
            unsafe sigemptyset(&rest)
            unsafe sigaddset(&rest, SIGTERM)
            unsafe sigaddset(&rest, SIGINT)
            unsafe pthread_sigmask(SIG_UNBLOCK, &rest, nil)
            _ = runtime.drain()
            return
        }
    }

    /// Ends without waiting for anybody.
    func stop() { runtime.stop() }
}
