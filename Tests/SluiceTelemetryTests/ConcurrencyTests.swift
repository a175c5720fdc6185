import Dispatch
import Foundation
import SluiceCore
import SluiceTelemetry
import Synchronization
import Testing

/// Runs the bodies on threads of their own and waits for all of them.
private func onThreads(_ bodies: [@Sendable () -> Void]) {
    let group = DispatchGroup()
    for body in bodies {
        group.enter()
        Thread.detachNewThread {
            body()
            group.leave()
        }
    }
    group.wait()
}

@Suite("Shards and pieces between threads")
struct ConcurrencyTests {
    private static let family = MetricFamily.counter(
        "sluice_requests_total",
        help: "Requests.",
        labels: ["n"]
    )

    @Test(
        "Counts are exact at the end and never fall in between",
        .tags(.property),
        .timeLimit(.minutes(2)),
        arguments: 1...3 as ClosedRange<UInt64>
    )
    func exactSums(seed: UInt64) {
        let store = MetricStore()
        let writers = 4
        let rounds = 20_000
        let histogram = store.histogram(.histogram("sluice_x_seconds", help: "X."))
        let gauge = store.gauge(.gauge("sluice_x", help: "X."))
        let left = Atomic(writers)
        let expected = Mutex([String: UInt64]())
        let writing: [@Sendable () -> Void] = (0..<writers).map { writer in
            {
                var random = RandomSource(seed: seed &* 31 &+ UInt64(writer))
                let shard = store.makeShard()
                var counted: [String: UInt64] = [:]
                var handles: [String: CounterID] = [:]
                for round in 0..<rounds {
                    // New series keep coming, so chunks are published while somebody reads.
                    let label = String(random.next(below: 1 + round / 12))
                    let counter = handles[label] ?? store.counter(Self.family, [label])
                    handles[label] = counter
                    let count = UInt64(random.next(below: 9))
                    shard.add(counter, count)
                    counted[label, default: 0] += count
                    shard.observe(histogram, nanoseconds: Int64(count))
                    shard.add(gauge, round % 2 == 0 ? 2 : -1)
                }
                expected.withLock { $0.merge(counted, uniquingKeysWith: +) }
                left.subtract(1, ordering: .releasing)
            }
        }
        let reading: @Sendable () -> Void = {
            var last: [String: UInt64] = [:]
            while left.load(ordering: .acquiring) > 0 {
                for line in store.samples(of: "sluice_requests_total") {
                    let parts = line.split(separator: " ")
                    let (name, value) = (String(parts[0]), UInt64(parts[1]) ?? 0)
                    #expect(value >= last[name] ?? 0)
                    last[name] = value
                }
            }
        }
        onThreads(writing + [reading])
        let sums = expected.withLock { $0 }
        for (label, sum) in sums {
            #expect(store.value(of: store.counter(Self.family, [label])) == sum)
        }
        let total = sums.values.reduce(0, +)
        #expect(store.value(of: histogram).count == UInt64(writers * rounds))
        #expect(store.value(of: histogram).nanoseconds == total)
        #expect(store.value(of: gauge) == Int64(writers * rounds / 2))
    }

    @Test(
        "Every access line is written or counted as dropped, once and in its worker's order",
        .tags(.property),
        .timeLimit(.minutes(2))
    )
    func linesArrive() {
        let channel = AccessChannel(fragmentBytes: 16 << 10, fragmentsMaximum: 3)
        let workers = 4
        let lines = 5_000
        let left = Atomic(workers)
        let written = Mutex([[Int]](repeating: [], count: workers))
        let working: [@Sendable () -> Void] = (0..<workers).map { worker in
            {
                do {
                    let buffer = AccessBuffer(channel: channel)
                    for number in 0..<lines {
                        var record = AccessRecord(start: WallTime(nanoseconds: 0))
                        record.attempts = UInt32(worker)
                        record.requestBytes = UInt64(number)
                        buffer.append(record)
                        if number % 97 == 0 { buffer.flush() }
                    }
                }
                left.subtract(1, ordering: .releasing)
            }
        }
        let writing: @Sendable () -> Void = {
            while true {
                let isLast = left.load(ordering: .acquiring) == 0
                if let fragment = channel.takeFull() {
                    let text = unsafe String(decoding: fragment.bytes, as: UTF8.self)
                    channel.giveBack(fragment)
                    for line in text.split(separator: "\n") {
                        let numbers = line.split { !$0.isNumber }.compactMap { Int($0) }
                        written.withLock {
                            $0[numbers[numbers.count - 1]].append(numbers[numbers.count - 3])
                        }
                    }
                } else if isLast {
                    return
                }
            }
        }
        onThreads(working + [writing])
        let result = written.withLock { $0 }
        for numbers in result {
            #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
        }
        let arrived = result.reduce(0) { $0 + $1.count }
        #expect(arrived + Int(channel.droppedLines) == workers * lines)
    }
}
