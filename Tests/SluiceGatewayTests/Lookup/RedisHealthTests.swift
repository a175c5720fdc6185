import SluiceCore
import SluiceEgress
import SluiceRedis
import Testing

@testable import SluiceGateway

@Suite("What is wrong with Redis is counted each time and told once")
struct RedisTroubleNoticeTests {
    private let health = RedisHealth()
    private let refused = RedisComplaint(.connect, "refused")
    private let silent = RedisComplaint(.silent, "nothing in 50 ms")

    private static func at(_ seconds: Double) -> Instant {
        Instant(nanoseconds: Int64(seconds * 1_000_000_000) + 1)
    }

    @Test("A reason is told at first sight, again when it has lasted ten seconds, and no more")
    func once() {
        let trouble = RedisHealth.Notice.trouble(.connection, refused)
        #expect(health.complained(refused, about: .connection, at: Self.at(0)) == trouble)
        for second in 1..<40 {
            #expect(
                health.complained(refused, about: .connection, at: Self.at(Double(second))) == nil
            )
        }
        #expect(health.counts.first { $0.reason == .connect }?.count == 40)
        #expect(health.troubles == [.init(use: .connection, complaint: refused)])
    }

    @Test("Another reason is told as well, and is the one that holds")
    func another() {
        _ = health.complained(refused, about: .connection, at: Self.at(0))
        let notice = health.complained(silent, about: .connection, at: Self.at(1))
        #expect(notice == .trouble(.connection, silent))
        #expect(health.troubles.map(\.complaint) == [silent])
        // Uses have troubles of their own; the connection's comes first.
        #expect(
            health.complained(silent, about: .writes, at: Self.at(1)) == .trouble(.writes, silent)
        )
        #expect(health.troubles.map(\.use) == [.connection, .writes])
    }

    @Test("What settles is told if its trouble was, and a first connection always is")
    func settled() {
        #expect(health.recovered(.connection, at: Self.at(0)) == .settled(.connection))
        #expect(health.recovered(.connection, at: Self.at(1)) == nil)
        #expect(health.recovered(.lookUps, at: Self.at(1)) == nil)
        _ = health.complained(refused, about: .connection, at: Self.at(2))
        #expect(health.recovered(.connection, at: Self.at(3)) == .settled(.connection))
        #expect(health.troubles.isEmpty)
    }

    @Test("A server that comes and goes is told of once in a while")
    func flapping() {
        _ = health.complained(refused, about: .connection, at: Self.at(0))
        _ = health.recovered(.connection, at: Self.at(1))
        var told = 0
        for second in 2..<12 {
            let now = Self.at(Double(second))
            if health.complained(refused, about: .connection, at: now) != nil { told += 1 }
            if health.recovered(.connection, at: now) != nil { told += 1 }
        }
        #expect(told == 0)
        // Well for ten seconds: the next trouble is news.
        let late = health.complained(refused, about: .connection, at: Self.at(22))
        #expect(late == .trouble(.connection, refused))
    }

    @Test("Trouble that stays is told though it came soon after a good moment")
    func lasting() {
        _ = health.complained(refused, about: .connection, at: Self.at(0))
        _ = health.recovered(.connection, at: Self.at(1))
        #expect(health.complained(refused, about: .connection, at: Self.at(2)) == nil)
        #expect(health.complained(refused, about: .connection, at: Self.at(11.5)) == nil)
        let notice = health.complained(refused, about: .connection, at: Self.at(12.5))
        #expect(notice == .trouble(.connection, refused))
    }
}
