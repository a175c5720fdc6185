import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceRedis
import Testing

@Suite("What is told of Redis")
struct RedisHealthTests {
    private static func at(_ milliseconds: Int64) -> Instant {
        .zero.advanced(byNanoseconds: milliseconds * 1_000_000)
    }

    private static let refused = RedisComplaint(.connect, "refused")
    private static let loading = RedisComplaint(.loading, "LOADING wait")

    @Test("A reason is told once, another one too, and the end once")
    func once() {
        let health = RedisHealth()
        for attempt in 0..<1000 {
            let told = health.complained(
                Self.refused,
                about: .connection,
                at: Self.at(Int64(attempt))
            )
            #expect((told == .trouble(.connection, Self.refused)) == (attempt == 0))
        }
        #expect(
            health.complained(Self.loading, about: .connection, at: Self.at(1000))
                == .trouble(.connection, Self.loading)
        )
        #expect(health.complained(Self.refused, about: .connection, at: Self.at(1001)) == nil)
        #expect(health.troubles.map(\.complaint) == [Self.refused])
        #expect(health.recovered(.connection, at: Self.at(1002)) == .settled(.connection))
        #expect(health.recovered(.connection, at: Self.at(1003)) == nil && health.troubles.isEmpty)
        #expect(health.counts.first { $0.reason == .connect }?.count == 1001)
        #expect(health.counts.count == RedisReason.allCases.count)
    }

    @Test("A first connection is told; look-ups and writes that were never bad aren't")
    func first() {
        let health = RedisHealth()
        #expect(health.recovered(.writes, at: .zero) == nil)
        #expect(health.recovered(.connection, at: .zero) == .settled(.connection))
    }

    @Test("What comes and goes each second is told once, and then what stays")
    func flapping() {
        let health = RedisHealth()
        var told: [RedisHealth.Notice] = []
        for second in 0..<100 as Range<Int64> {
            let time = second * 1000
            told += [
                health.complained(Self.refused, about: .connection, at: Self.at(time)),
                health.recovered(.connection, at: Self.at(time + 500)),
            ].compactMap { $0 }
        }
        #expect(told == [.trouble(.connection, Self.refused), .settled(.connection)])
        var last: [RedisHealth.Notice] = []
        for second in 100..<130 as Range<Int64> {
            if let notice = health.complained(
                Self.refused,
                about: .connection,
                at: Self.at(second * 1000)
            ) {
                last.append(notice)
            }
        }
        #expect(last == [.trouble(.connection, Self.refused)])
        #expect(health.recovered(.connection, at: Self.at(131_000)) == .settled(.connection))
        // After a calm time the same reason is news.
        #expect(health.complained(Self.refused, about: .connection, at: Self.at(160_000)) != nil)
    }
}
