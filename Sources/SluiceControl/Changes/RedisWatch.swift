import Foundation
import SluiceConfiguration
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceRedis
import SluiceTLS
import SluiceTelemetry
import Synchronization

/// Looks up Redis's name and reads its files whenever a connection couldn't be made or ended, on a
/// thread of its own: a name server that doesn't answer holds a look-up for seconds.
///
/// What can't be looked up keeps its last addresses, and files that can't be read what they held.
final class RedisWatch: Sendable {
    /// Tier 2, with what this watch finds.
    let tier: RedisTier
    private let settings: Configuration.Redis
    private let directory = RedisDirectory()
    private let loop: ControlLoop

    /// Between looks; connections try again after a second at most.
    private static let interval = Duration.milliseconds(100)

    /// Looks for the first time, soon; files that can't be used are told at once.
    init(_ redis: Configuration.Redis) throws(CompileFailure) {
        settings = redis
        var endpoint = RedisEndpoint(redis.url, directory: directory)
        if let name = redis.tls?.serverName { endpoint.serverName = name }
        tier = RedisTier(endpoint: endpoint, timeout: redis.timeout, prefix: redis.prefix)
        do throws(TLSFailure) {
            _ = try RedisWatch.context(redis)
        } catch {
            throw CompileFailure(sentence: "cache.redis.tls: \(error)")
        }
        do throws(KernelFailure) {
            loop = try ControlLoop.start(name: "redis")
        } catch {
            throw CompileFailure(sentence: error.description)
        }
        let (directory, settings) = (directory, settings)
        let look: @Sendable () -> Void = {
            guard directory.takeWish() else { return }
            directory.put(RedisWatch.look(settings, directory.current))
        }
        loop.submit(look)
        loop.repeatedly(every: RedisWatch.interval, look)
    }

    /// Ends the thread once its look-up is over; nothing waits for that.
    func stop() { loop.stop(isWaiting: false) }

    private static func look(
        _ redis: Configuration.Redis,
        _ last: RedisDirectory.Entry
    ) -> RedisDirectory.Entry {
        var entry = last
        entry.complaint = nil
        do throws(KernelFailure) {
            entry.addresses = try RedisEndpoint.addresses(of: redis.url)
        } catch {
            entry.complaint = RedisComplaint(
                .name,
                "\(redis.url) can't be looked up: \(error.text)"
            )
        }
        entry.password = redis.url.password
        if let file = redis.passwordFile {
            if let password = RedisWatch.firstLine(of: file) {
                entry.password = password
            } else {
                entry.password = last.password
            }
        }
        // A certificate that is being replaced may not fit its key for a moment.
        if redis.url.isSecure {
            do throws(TLSFailure) { entry.tls = try context(redis) } catch { entry.tls = last.tls }
        }
        return entry
    }

    private static func firstLine(of file: String) -> String? {
        guard let data = FileManager.default.contents(atPath: file), data.count <= 1 << 16,
            let text = String(data: data, encoding: .utf8)
        else { return nil }
        let line = text.prefix { !$0.isNewline }
        return line.isEmpty ? nil : String(line)
    }

    private static func context(
        _ redis: Configuration.Redis
    ) throws(TLSFailure) -> TLSClientContext? {
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

extension EventLog {
    /// Says what goes wrong with Redis, and what goes well again.
    func write(_ notice: RedisHealth.Notice) {
        switch notice {
        case .trouble(let use, let complaint):
            let sentence =
                switch use {
                case .connection: "redis is not in use"
                case .lookUps: "redis doesn't answer look-ups"
                case .writes: "redis doesn't store answers"
                }
            write(
                .warning,
                sentence,
                [("code", complaint.reason.rawValue), ("reason", complaint.words)]
            )
        case .settled(.connection): write(.info, "redis is in use", [])
        case .settled(.lookUps): write(.info, "redis answers look-ups again", [])
        case .settled(.writes): write(.info, "redis stores answers again", [])
        }
    }
}
