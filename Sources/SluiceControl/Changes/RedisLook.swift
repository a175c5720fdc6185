import Foundation
import SluiceConfiguration
import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceRedis
import SluiceTLS

/// Looks where Redis is and what opens it, when that is wished for or a file has changed.
///
/// Lives on a loop that may wait for a name server. What can't be looked up keeps its last addresses,
/// and files that can't be read what they held.
final class RedisLook {
    private let loop: EventLoop
    private let redis: Configuration.Redis
    private let directory: RedisDirectory
    private let files: FileWatch
    private var query: SentinelQuery?
    /// The Sentinel that answered last is asked first.
    private var favourite: RedisURL.Sentinel?
    private var turns = 0

    /// Between turns; connections try again after a second at most.
    static let interval = Duration.milliseconds(100)
    /// Turns between two looks at the files.
    private static let fileTurns = 10

    init(loop: EventLoop, _ redis: Configuration.Redis, _ directory: RedisDirectory) {
        self.loop = loop
        self.redis = redis
        self.directory = directory
        files = FileWatch(
            paths: [
                redis.passwordFile, redis.sentinelPasswordFile, redis.tls?.ca,
                redis.tls?.certificate, redis.tls?.privateKey,
            ].compactMap { $0 }
        )
    }

    /// Looks, if there is cause.
    func turn() {
        turns += 1
        if let query, query.isOver { self.query = nil }
        // What a file says by now is in force from the next connection on, not only after one has failed.
        if turns % RedisLook.fileTurns == 0, files.look() { directory.requestLook() }
        guard query == nil, directory.takeLookRequest() else { return }
        var entry = directory.current
        entry.complaint = nil
        entry.password = password(redis.passwordFile, before: entry.password) ?? redis.url.password
        // A certificate that is being replaced may not fit its key for a moment.
        if redis.url.isSecure {
            do throws(TLSFailure) { entry.tls = try RedisLook.context(redis) } catch {}
        }
        if case .sentinels(let sentinels, let master) = redis.url.place {
            ask(sentinels, for: master, entry)
            return
        }
        do throws(KernelFailure) {
            entry.addresses = try RedisEndpoint.addresses(of: redis.url)
        } catch {
            entry.complaint = RedisComplaint(
                .name,
                "\(redis.url) can't be looked up: \(error.text)"
            )
        }
        directory.put(entry)
    }

    private func password(_ file: String?, before last: String?) -> String? {
        guard let file else { return nil }
        return RedisLook.firstLine(of: file) ?? last
    }

    // MARK: - Sentinels

    private func ask(
        _ sentinels: [RedisURL.Sentinel],
        for master: String,
        _ entry: RedisDirectory.Entry
    ) {
        var ordered = sentinels
        if let favourite, let place = ordered.firstIndex(of: favourite) {
            ordered.swapAt(0, place)
        }
        var ways: [SentinelQuery.Way] = []
        var owners: [RedisURL.Sentinel] = []
        var troubles: [(name: String, complaint: RedisComplaint)] = []
        for sentinel in ordered {
            do throws(KernelFailure) {
                let found = try SocketAddress.resolve(host: sentinel.host, port: sentinel.port)
                for address in found.prefix(2) {
                    ways.append(
                        SentinelQuery.Way(
                            name: sentinel.description,
                            address: address,
                            serverName: redis.tls?.serverName ?? sentinel.host
                        )
                    )
                    owners.append(sentinel)
                }
            } catch {
                troubles.append(
                    (
                        sentinel.description,
                        RedisComplaint(.name, "can't be looked up: \(error.text)")
                    )
                )
            }
        }
        var settings = RedisSettings()
        settings.user = redis.sentinelUser
        settings.password = redis.sentinelPasswordFile.flatMap(RedisLook.firstLine)
        let query = SentinelQuery(
            loop: loop,
            ways: ways,
            master: master,
            settings: settings,
            tls: entry.tls,
            troubles: troubles
        ) { [weak self] outcome in
            self?.heard(outcome, owners, entry)
        }
        self.query = query
        query.start()
    }

    private func heard(
        _ outcome: SentinelQuery.Outcome,
        _ owners: [RedisURL.Sentinel],
        _ entry: RedisDirectory.Entry
    ) {
        var entry = entry
        switch outcome {
        case .failed(let complaint): entry.complaint = complaint
        case .master(let host, let port, let way):
            favourite = owners[way]
            entry.serverName = redis.tls?.serverName ?? host
            do throws(KernelFailure) {
                let found = try SocketAddress.resolve(host: host, port: port)
                entry.addresses = Array(found.prefix(2))
            } catch {
                entry.complaint = RedisComplaint(
                    .name,
                    "the master's name '\(host)', as Sentinel \(owners[way]) says it, can't be looked up: \(error.text)"
                )
            }
        }
        directory.put(entry)
    }

    // MARK: - Files

    private static func firstLine(of file: String) -> String? {
        guard let data = FileManager.default.contents(atPath: file), data.count <= 1 << 16,
            let text = String(data: data, encoding: .utf8)
        else { return nil }
        let line = text.prefix { !$0.isNewline }
        return line.isEmpty ? nil : String(line)
    }

    /// How TLS is spoken to Redis and its Sentinels; nil in the clear.
    static func context(_ redis: Configuration.Redis) throws(TLSFailure) -> TLSClientContext? {
        guard redis.url.isSecure else { return nil }
        return try TLSClientContext(
            caFile: redis.tls?.ca,
            certificateFile: redis.tls?.certificate,
            keyFile: redis.tls?.privateKey,
            skipsVerification: redis.tls?.insecureSkipVerify ?? false,
            protocols: []
        )
    }
}
