import SluiceGateway
import SluiceInference
import SluiceTelemetry
import Synchronization

// What backends were found to be (``HealthProbe``): it changes how requests to them are told.
extension ChangeCoordinator {
    func learnRuntimes() throws(ChangeError) -> Applied {
        let state = state.withLock { $0 }
        var compiler = state.compiler
        let plain: Snapshot
        do throws(CompileFailure) {
            plain = try compiler.compile(state.configuration)
        } catch {
            log.write(.error, error.sentence, [])
            throw ChangeError(.invalid, error.sentence)
        }
        publish(state.adjustments.laid(on: plain), changed: []) {
            $0.compiler = compiler
            $0.plain = plain
        }
        for (before, now) in zip(state.plain.models, plain.models) {
            for (before, revision) in zip(before.revisions, now.revisions)
            where before.runtime != revision.runtime {
                log.write(
                    .info,
                    "a revision's backends were found to be another runtime",
                    [
                        ("model", now.name), ("revision", revision.name),
                        ("dialect", revision.runtime.runtimeKind.rawValue),
                        ("protocols", revision.runtime.protocols),
                    ]
                )
            }
        }
        return Applied(snapshot: snapshot, notes: [])
    }
}

extension Runtime {
    /// What its REST side speaks, for people.
    var protocols: String {
        [speaksV1 ? "V1" : nil, speaksV2 ? "V2" : nil].compactMap { $0 }.joined(separator: ", ")
    }
}
