import SluiceTelemetry
package import SluiceWire

// How the admin API writes live numbers. Digits beyond the sixth decimal are noise, and a frame of
// the stream holds many numbers.

extension LiveNumbers {
    /// The numbers as members of the revision's object; what is unknown is null.
    package var members: [JSONValue.Member] {
        [
            .init("requestsPerSecond", .rounded(requestsPerSecond)),
            .init("errorRatio", .rounded(errorRatio)),
            .init("p50Seconds", .rounded(p50Seconds)),
            .init("p99Seconds", .rounded(p99Seconds)),
            .init("inFlight", .number("\(inFlight)")),
            .init("backendRequestsPerSecond", .rounded(backendRequestsPerSecond)),
            .init("rejectedPerSecond", .rounded(rejectedPerSecond)),
            .init("hedgesPerSecond", .rounded(hedgesPerSecond)),
            .init("hedgeWinRatio", .rounded(hedgeWinRatio)),
        ]
    }
}

extension CacheNumbers {
    /// The numbers as members of the model's `cache` object; what is unknown is null.
    package var members: [JSONValue.Member] {
        [
            .init("hitRatio", .rounded(hitRatio)),
            .init("memoryHitRatio", .rounded(memoryHitRatio)),
            .init("redisHitRatio", .rounded(redisHitRatio)),
            .init("collapsedRatio", .rounded(collapsedRatio)),
            .init("lookupsPerSecond", .rounded(lookupsPerSecond)),
        ]
    }
}

extension TrafficHistory.Past {
    /// One list per number, each as long as `times` (milliseconds since 1970); gaps are null.
    package var json: JSONValue {
        func list(
            _ points: [TrafficHistory.Point],
            _ number: KeyPath<TrafficHistory.Point, Float>
        ) -> JSONValue {
            .array(points.map { .rounded(Double($0[keyPath: number])) })
        }
        return .object([
            .init("times", .array(times.map { .number("\($0.nanoseconds / 1_000_000)") })),
            .init(
                "revisions",
                .array(
                    revisions.map { name, points in
                        .object([
                            .init("name", .string(name)),
                            .init("requestsPerSecond", list(points, \.requestsPerSecond)),
                            .init("errorRatio", list(points, \.errorRatio)),
                            .init("p50Seconds", list(points, \.p50Seconds)),
                            .init("p99Seconds", list(points, \.p99Seconds)),
                            .init("inFlight", list(points, \.inFlight)),
                            .init(
                                "backendRequestsPerSecond",
                                list(points, \.backendRequestsPerSecond)
                            ),
                        ])
                    }
                )
            ),
            .init("cacheHitRatio", .array(hitRatios.map { .rounded(Double($0)) })),
        ])
    }
}

extension JSONValue {
    /// A number with at most six decimals; null for nil and for what JSON can't write.
    package static func rounded(_ value: Double?) -> JSONValue {
        guard let value, value.isFinite else { return .null }
        let rounded = (value * 1e6).rounded() / 1e6
        if rounded == rounded.rounded(), abs(rounded) < 1e15 { return .number("\(Int(rounded))") }
        return .number("\(rounded)")
    }
}
