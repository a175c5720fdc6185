import ArgumentParser
private import Glibc
import SluiceConfiguration
import SluiceControl
import SluiceIO
import SluiceTelemetry

/// The only place where rooms are wired together into a running gateway.
enum Bootstrap {
    /// Starts gateway and admin server; throws an exit code after saying what is wrong.
    ///
    /// With `waitsForAdmin` an admin address that is in use is waited for.
    static func start(
        _ configuration: Configuration,
        file: String?,
        waitsForAdmin: Bool = true,
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
            return try GatewayProcess(
                runtime: runtime,
                waitsForAdmin: waitsForAdmin,
                log: log
            )
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
    private let admin: AdminPort

    /// Where the admin API listens; nil while its name has no address, or another has it.
    var adminAddress: SocketAddress? { admin.address }

    init(runtime: GatewayRuntime, waitsForAdmin: Bool, log: EventLog) throws(CompileFailure) {
        self.runtime = runtime
        admin = AdminPort(runtime: runtime, isPatient: waitsForAdmin, log: log)
        try admin.open()
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
                runtime.coordinator.submit(.reload, by: "signal") { _ in }
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
