import SluiceConfiguration
import SluiceGateway
import SluiceRouting
package import SluiceTLS
import SluiceTelemetry
import Synchronization

/// What a listener presents from now on.
package struct ListenerCertificate: Sendable {
    /// The listener's name: its configured address.
    package var listener: String
    package var context: TLSServerContext
}

// The file, once more. What doesn't validate changes nothing and is reported with its places.
extension ChangeCoordinator {
    /// Models, backends, limits on bodies and certificates follow the file; a change of listeners'
    /// addresses, of `workers`, `admin`, `accessLog` or `cache` needs a restart and is named.
    func reload(by who: String) throws(ChangeError) -> Applied {
        guard let file else {
            throw ChangeError(
                .invalid,
                "the gateway was started without a file, so there is nothing to reload"
            )
        }
        // Before the file is read: what changes from now on is another change.
        watch?.settle()
        do throws(ChangeError) {
            let applied = try reload(file, by: who)
            count("success")
            return applied
        } catch {
            count("failure")
            for diagnostic in error.diagnostics {
                log.write(.error, "configuration refused: \(diagnostic)", [])
            }
            announce(
                ChangeEvent(
                    time: wallTime,
                    who: who,
                    kind: .reload,
                    message: "a changed configuration was refused: \(error.sentence)"
                )
            )
            throw error
        }
    }

    private func reload(_ file: String, by who: String) throws(ChangeError) -> Applied {
        var configuration: Configuration
        do throws(ConfigurationFailure) {
            configuration = try Configuration.load(path: file)
        } catch {
            throw ChangeError(
                .invalid,
                error.diagnostics.map(\.description).joined(separator: "\n"),
                diagnostics: error.diagnostics
            )
        }
        let before = state.withLock { $0 }
        if before.configuration.admin.isAddressGiven {
            configuration.admin.give(address: before.configuration.admin.address)
        }
        var compiler = before.compiler
        let unfound = compiler.look(for: configuration.watchedNames, by: names)
        compiler.readFilesAnew()
        let plain: Snapshot
        let access: AdminAccess
        var certificates: [ListenerCertificate] = []
        do throws(CompileFailure) {
            access = try AdminAccess(configuration.admin)
            plain = try compiler.compile(configuration)
            for listener in configuration.listeners {
                if let context = try SnapshotCompiler.certificates(of: listener) {
                    certificates.append(
                        ListenerCertificate(listener: listener.address.text, context: context)
                    )
                }
            }
        } catch {
            let diagnostic = Diagnostic(file: file, line: 1, column: 1, message: error.sentence)
            throw ChangeError(.invalid, diagnostic.description, diagnostics: [diagnostic])
        }
        var adjustments = before.adjustments
        let lost = adjustments.keepOnly(
            whatIsIn: plain,
            unfound: compiler.unfound(in: configuration)
        )
        let snapshot = adjustments.laid(on: plain)
        var notes = lost.map(\.sentence)
        if adjustments != before.adjustments { notes += save(adjustments) }
        for (model, now) in zip(plain.models, snapshot.models)
        where model.split.weights != now.split.weights {
            notes.append(
                "model '\(model.name)' keeps the weights it was given at run time; `sluice traffic \(model.name) --reset` goes back to the file's"
            )
        }
        notes += ChangeCoordinator.restartNotes(before.configuration, configuration)
        publish(
            snapshot,
            changed: ChangeCoordinator.changedModels(before.configuration, configuration),
            certificates: certificates
        ) {
            $0.configuration = configuration
            $0.adjustments = adjustments
            $0.compiler = compiler
            $0.plain = plain
            $0.access = access
        }
        watch?.follow(file, configuration)
        for note in notes { log.write(.warning, note, []) }
        announce(
            ChangeEvent(
                time: wallTime,
                who: who,
                kind: .reload,
                message: "configuration reloaded from \(file)"
            )
        )
        // Told as a change of traffic, which is how a rollout learns that its weights have gone.
        for lost in lost {
            announce(
                ChangeEvent(
                    time: wallTime,
                    who: who,
                    kind: .traffic,
                    model: lost.model,
                    message: lost.sentence
                )
            )
        }
        // The log has been told of names by their watch.
        return Applied(snapshot: self.snapshot, notes: unfound + notes)
    }

    private func count(_ outcome: String) {
        let counter = store.counter(GatewayMetrics.reloads, [outcome])
        loop.count(counter, in: store)
        state.withLock { $0.isFileInForce = outcome == "success" }
    }

    private static func changedModels(_ old: Configuration, _ new: Configuration) -> [String] {
        new.models.filter { !old.models.contains($0) }.map(\.name)
    }

    private static func restartNotes(_ old: Configuration, _ new: Configuration) -> [String] {
        var notes: [String] = []
        if old.listeners.map(\.address) != new.listeners.map(\.address)
            || old.listeners.map(\.cors) != new.listeners.map(\.cors)
        {
            notes.append("a change of `listeners` takes a restart")
        }
        if old.limits.maxConnections != new.limits.maxConnections
            || old.limits.maxConnectionsPerAddress != new.limits.maxConnectionsPerAddress
        {
            notes.append(
                "a change of `limits.maxConnections` or `maxConnectionsPerAddress` takes a restart"
            )
        }
        if old.workers != new.workers || old.admin != new.admin
            || old.accessLog != new.accessLog || old.cache != new.cache || old.watch != new.watch
            || old.dnsInterval != new.dnsInterval
        {
            notes.append(
                "a change of `workers`, `admin`, `accessLog`, `cache`, `watch` or `dnsInterval` takes a restart"
            )
        }
        return notes
    }
}
