private import Glibc
import SluiceAdmin
import SluiceConfiguration
import SluiceControl
import SluiceCore
import SluiceIO
import SluiceTelemetry
import Synchronization

/// Where the admin API listens: at each address of its name, as soon as that is found and free.
///
/// A second gateway starts beside a first with the same file. Their listeners share a port; an admin
/// address is one process's, so that `sluice status` speaks to the gateway that it seems to. The second
/// serves all the same, and takes the address when the first has let go.
final class AdminPort: Sendable {
    private struct State: Sendable {
        /// Addresses that other processes have.
        var busy: [SocketAddress] = []
        var bound: [SocketAddress] = []
    }

    private let state = Mutex(State())
    private let admin: Confined<AdminServer>
    private let control: ControlLoop
    private let coordinator: ChangeCoordinator
    private let configuration: Configuration.Admin
    private let isPatient: Bool
    private let log: EventLog

    private static let interval = Duration.milliseconds(250)

    /// A port that isn't open yet; with `isPatient` it waits for an address that is in use.
    init(runtime: GatewayRuntime, isPatient: Bool, log: EventLog) {
        control = runtime.control
        coordinator = runtime.coordinator
        configuration = runtime.configuration.admin
        self.isPatient = isPatient
        self.log = log
        let admin = runtime.control.run { loop in
            Confined(AdminServer(loop: loop, runtime: runtime))
        }
        self.admin = admin
        runtime.atEnd { admin.value.close() }
    }

    /// The first address it listens at; nil while there is none.
    var address: SocketAddress? { state.withLock { $0.bound.first } }

    /// Listens, or waits for what is needed to listen.
    func open() throws(CompileFailure) {
        let name = configuration.address.name
        let known = name.isNumeric ? try? name.resolve() : coordinator.look(for: [name])[name]
        if let known { return try open(at: known) }
        coordinator.wait(for: [name]) { [self] _, addresses in
            do throws(CompileFailure) {
                try open(at: addresses)
            } catch {
                log.write(.error, error.sentence, [])
            }
        }
    }

    private func open(at addresses: [SocketAddress]) throws(CompileFailure) {
        let outcome: State
        do throws(KernelFailure) {
            outcome = try control.run { [self] _ in bind(addresses) }.get()
        } catch {
            let sentence = ListenerHolder.sentence(of: error, at: addresses)
            throw CompileFailure(
                sentence: "admin.address: \(sentence); `--admin ADDRESS` takes another"
            )
        }
        take(outcome)
        guard !outcome.busy.isEmpty else { return }
        complain(of: outcome.busy)
        control.repeatedly(every: AdminPort.interval) { [self] in retry() }
    }

    /// Says who has the address, as far as that can be seen, and what to do.
    private func complain(of busy: [SocketAddress]) {
        let holder = ListenerHolder.of(busy)
        let message =
            if let holder, !holder.isNamedLikeThisProcess {
                "the admin address is taken by another program, which has to end before metrics and the admin API are served there; `--admin ADDRESS` or `admin.address` serves them at another"
            } else {
                "the admin address is taken; it is served as soon as it is free (`--admin ADDRESS` serves another at once)"
            }
        for address in busy {
            let unseen = "not to be seen from here: another user's, or another container's"
            log.write(
                .warning,
                message,
                [("address", address.description), ("holder", holder?.description ?? unseen)]
            )
        }
    }

    /// Called on the control loop, which therefore must not be waited for.
    private func retry() {
        let busy = state.withLock { $0.busy }
        guard !busy.isEmpty else { return }
        do throws(KernelFailure) {
            take(try bind(busy).get())
        } catch {
            state.withLock { $0.busy = [] }
            log.write(.error, "admin.address: \(error.description)", [])
        }
    }

    /// Listens at each of the addresses that no other process has; on the control loop.
    private func bind(_ addresses: [SocketAddress]) -> Result<State, KernelFailure> {
        var outcome = State()
        do throws(KernelFailure) {
            let all = try SocketAddress.listen(atEach: addresses) {
                address throws(KernelFailure) in
                do throws(KernelFailure) {
                    return try admin.value.listen(on: address)
                } catch {
                    guard isPatient, error.code == EADDRINUSE else { throw error }
                    outcome.busy.append(address)
                    return address
                }
            }
            outcome.bound = all.filter { !outcome.busy.contains($0) }
            return .success(outcome)
        } catch {
            return .failure(error)
        }
    }

    private func take(_ outcome: State) {
        state.withLock { state in
            state.bound += outcome.bound
            state.busy = outcome.busy
        }
        let key = configuration.isAddressGiven ? "--admin" : "admin.address"
        for address in outcome.bound {
            log.write(
                .info,
                "admin listening",
                [("address", address.description), ("from", key)]
            )
        }
    }
}
