import SluiceTelemetry
import Testing

@Suite("Access buffer")
struct AccessBufferTests {
    private let smallest = AccessLine.bytesMaximum

    private func record(_ number: Int) -> AccessRecord {
        var record = AccessRecord(start: WallTime(nanoseconds: 0))
        record.attempts = UInt32(number)
        return record
    }

    /// Takes one piece from the channel; how many lines it has, or nil when there's none.
    private func drain(_ channel: AccessChannel) -> Int? {
        guard let fragment = channel.takeFull() else { return nil }
        let lines = unsafe fragment.bytes.count { $0 == 10 }
        channel.giveBack(fragment)
        return lines
    }

    @Test("Lines wait in the worker's piece until it's full or flushed", .tags(.unit))
    func flush() {
        let channel = AccessChannel()
        let buffer = AccessBuffer(channel: channel)
        #expect(!buffer.flush())
        #expect(!buffer.append(record(1)))
        #expect(!buffer.append(record(2)))
        #expect(drain(channel) == nil)
        #expect(buffer.flush())
        #expect(!buffer.flush())
        #expect(drain(channel) == 2)
        #expect(drain(channel) == nil)
    }

    @Test("A full piece goes to the channel by itself, and says so", .tags(.unit))
    func handsOver() {
        let channel = AccessChannel(fragmentBytes: smallest)
        let buffer = AccessBuffer(channel: channel)
        var appended = 0
        repeat { appended += 1 } while !buffer.append(record(appended))
        // The line that didn't fit opened the next piece.
        #expect(drain(channel) == appended - 1)
        buffer.flush()
        #expect(drain(channel) == 1)
    }

    @Test("Without a piece lines are dropped and counted, and later ones arrive", .tags(.unit))
    func drops() {
        let channel = AccessChannel(fragmentBytes: smallest, fragmentsMaximum: 2)
        let buffer = AccessBuffer(channel: channel)
        for _ in 0..<2 {
            buffer.append(record(1))
            buffer.flush()
        }
        #expect(!buffer.append(record(2)))
        #expect(!buffer.append(record(3)))
        #expect(channel.droppedLines == 2)
        #expect(drain(channel) == 1)
        buffer.append(record(4))
        buffer.flush()
        #expect(channel.droppedLines == 2)
        #expect(drain(channel) == 1)
        #expect(drain(channel) == 1)
        #expect(drain(channel) == nil)
    }

    @Test("A piece that comes back is empty", .tags(.unit))
    func reuse() {
        let channel = AccessChannel(fragmentBytes: smallest, fragmentsMaximum: 1)
        let buffer = AccessBuffer(channel: channel)
        for _ in 0..<5 {
            buffer.append(record(1))
            buffer.flush()
            #expect(drain(channel) == 1)
        }
        #expect(channel.droppedLines == 0)
    }

    @Test("What a worker leaves behind reaches the channel", .tags(.unit))
    func leaves() {
        let channel = AccessChannel()
        do {
            let buffer = AccessBuffer(channel: channel)
            buffer.append(record(1))
        }
        #expect(drain(channel) == 1)
    }
}
