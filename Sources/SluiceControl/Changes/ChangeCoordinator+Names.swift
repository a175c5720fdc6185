import SluiceConfiguration
package import SluiceCore
import SluiceGateway
package import SluiceIO
import SluiceTelemetry
import Synchronization

// Where names lead. Look-ups run beside the coordinator (``DNSRefresher``); what they find becomes one change,
// however many names have moved at once.
extension ChangeCoordinator {
    /// What start and reload wait for names; a name that takes longer comes when it is found.
    static let nameTimeout = Duration.seconds(3)

    /// Takes what a name was found to be, new or not; it is in force soon.
    package func found(_ name: HostName, _ addresses: [SocketAddress]) {
        let waiting = awaited.withLock { $0.removeValue(forKey: name) } ?? []
        for waiter in waiting { waiter(name, addresses) }
        let isKnown = state.withLock { !$0.compiler.isNews(addresses, of: name) }
        let isFirst = foundNames.withLock { found in
            if isKnown, found[name] == nil { return false }
            found[name] = addresses
            return found.count == 1
        }
        guard isFirst else { return }
        submit(.names, by: "dns") { [weak self] result in
            // The next look finds it again.
            if case .failure = result { self?.foundNames.withLock { $0 = [:] } }
        }
    }

    /// Why a backend's name was not found when it was last looked up; nil while it is found.
    package func nameFailure(of name: HostName) -> String? { names.failure(of: name) }

    /// Looks names up soon, out of turn: a backend doesn't answer where it was.
    package func lookNamesUpSoon() { names.lookSoon() }

    /// Asks for names to listen at, and waits no longer than a start may.
    package func look(for names: [HostName]) -> [HostName: [SocketAddress]] {
        names.isEmpty ? [:] : self.names.look(for: names, timeout: ChangeCoordinator.nameTimeout)
    }

    /// Looks `names` up beside those of backends, until each has been found once; tells `found` on a
    /// thread that may be made to wait.
    package func wait(
        for names: [HostName],
        found: @escaping @Sendable (HostName, [SocketAddress]) -> Void
    ) {
        awaited.withLock { awaited in
            for name in names { awaited[name, default: []].append(found) }
        }
    }

    /// All names that are to be looked up now.
    func watchedNames() -> [HostName] {
        configuration.watchedNames + awaited.withLock { Array($0.keys) }
    }

    func learnNames(by who: String) throws(ChangeError) -> Applied {
        let found = foundNames.withLock { found in
            defer { found = [:] }
            return found.sorted { $0.key.text < $1.key.text }
        }
        let state = state.withLock { $0 }
        var compiler = state.compiler
        var news: [(name: HostName, before: Int, now: [SocketAddress])] = []
        for (name, addresses) in found {
            let before = compiler.addresses[name]?.count ?? 0
            if compiler.learn(addresses, of: name) { news.append((name, before, addresses)) }
        }
        guard !news.isEmpty else { return Applied(snapshot: state.snapshot, notes: []) }
        let plain: Snapshot
        do throws(CompileFailure) {
            plain = try compiler.compile(state.configuration)
        } catch {
            log.write(.error, error.sentence, [])
            throw ChangeError(.invalid, error.sentence)
        }
        var adjustments = state.adjustments
        _ = adjustments.keepOnly(
            whatIsIn: plain,
            unfound: compiler.unfound(in: state.configuration)
        )
        if adjustments != state.adjustments { _ = save(adjustments) }
        let snapshot = adjustments.laid(on: plain)
        publish(snapshot, changed: []) {
            $0.adjustments = adjustments
            $0.compiler = compiler
            $0.plain = plain
        }
        for (name, before, now) in news {
            announce(
                ChangeEvent(
                    time: loop.wallTime,
                    who: who,
                    kind: .backend,
                    from: "\(before) addresses",
                    to: "\(now.count) addresses",
                    message:
                        "\(name.text) is now \(now.map(\.description).sorted().joined(separator: ", "))"
                )
            )
        }
        return Applied(snapshot: self.snapshot, notes: [])
    }
}
