import SluiceConfiguration
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceRedis
import SluiceTLS
import SluiceTelemetry
import Synchronization

/// Looks up Redis's name, asks its Sentinels and reads its files whenever a connection couldn't be made or
/// ended, on a thread of its own: a name server that doesn't answer holds a look-up for seconds.
final class RedisWatch: Sendable {
    /// Tier 2, with what this watch finds.
    let tier: RedisTier
    private let directory = RedisDirectory()
    private let loop: ControlLoop

    /// Looks for the first time, soon; files that can't be used are told at once.
    init(_ redis: Configuration.Redis) throws(CompileFailure) {
        var endpoint = RedisEndpoint(redis.url, directory: directory)
        if let name = redis.tls?.serverName { endpoint.serverName = name }
        tier = RedisTier(endpoint: endpoint, timeout: redis.timeout, prefix: redis.prefix)
        do throws(TLSFailure) {
            _ = try RedisLook.context(redis)
        } catch {
            throw CompileFailure(sentence: "cache.redis.tls: \(error)")
        }
        do throws(KernelFailure) {
            loop = try ControlLoop.start(name: "redis")
        } catch {
            throw CompileFailure(sentence: error.description)
        }
        let directory = directory
        let look = loop.run { Confined(RedisLook(loop: $0, redis, directory)) }
        let turn: @Sendable () -> Void = { look.value.turn() }
        loop.submit(turn)
        loop.repeatedly(every: RedisLook.interval, turn)
    }

    /// Ends the thread once its look-up is over; nothing waits for that.
    func stop() { loop.stop(isWaiting: false) }
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
