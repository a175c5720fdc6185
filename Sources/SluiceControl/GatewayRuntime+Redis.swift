import SluiceEgress
import SluiceGateway
import SluiceRedis
import SluiceTelemetry
package import SluiceWire

// What operators see of tier 2.
extension GatewayRuntime {
    /// Whether Redis is in use and what is wrong with it; null without one.
    package var redisState: JSONValue {
        guard let isUp = cache.isRedisUp else { return .null }
        return .object([
            .init("up", .bool(isUp)),
            .init(
                "troubles",
                .array(
                    cache.redisHealth.troubles.map {
                        .object([
                            .init("use", .string($0.use.rawValue)),
                            .init("reason", .string($0.complaint.reason.rawValue)),
                            .init("message", .string($0.complaint.words)),
                        ])
                    }
                )
            ),
        ])
    }

    static func collectRedis(_ cache: ResultCache, into sink: inout MetricSink) {
        guard let isUp = cache.isRedisUp else { return }
        sink.gauge(GatewayMetrics.redisUp, [], value: isUp ? 1 : 0)
        for (reason, count) in cache.redisHealth.counts {
            sink.counter(GatewayMetrics.redisErrors, [reason.rawValue], value: Double(count))
        }
    }
}
