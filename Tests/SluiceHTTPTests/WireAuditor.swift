import SluiceTestKit

/// Listens to both directions of a connection and keeps its own account of every window.
///
/// It shares no code with the session: whatever the two disagree about is a finding.
struct WireAuditor {
    private struct Side {
        var rest: [UInt8] = []
        var sawPreface = false
        /// What this side may still send.
        var connectionWindow = 65_535
        var streamWindows: [UInt32: Int] = [:]
        var initialWindow = 65_535
        /// Values this side announced that the other hasn't acknowledged yet, first first.
        var unacknowledged: [Int?] = []
        var ended: Set<UInt32> = []
        var lastGoAway: UInt32 = .max
        /// The longest frame this side has ever said it takes.
        var frameMaximum = 16_384
    }

    /// What the two sides may hold open for each other at most, on the connection and a stream.
    var connectionWindowMaximum = 0x7FFF_FFFF
    var streamWindowMaximum = 0x7FFF_FFFF
    private var sides = (client: Side(), server: Side())
    /// Sentences about rules that were broken.
    private(set) var findings: [String] = []

    /// Bytes on their way from one side to the other.
    mutating func hear(_ bytes: [UInt8], fromClient: Bool) {
        var side = fromClient ? sides.client : sides.server
        var other = fromClient ? sides.server : sides.client
        side.rest += bytes
        if fromClient, !side.sawPreface {
            guard side.rest.count >= RawFrame.preface.bytes.count else {
                store(side, other, fromClient)
                return
            }
            side.rest.removeFirst(RawFrame.preface.bytes.count)
            side.sawPreface = true
        }
        var start = 0
        while start + 9 <= side.rest.count {
            let length =
                Int(side.rest[start]) << 16 | Int(side.rest[start + 1]) << 8
                | Int(side.rest[start + 2])
            guard start + 9 + length <= side.rest.count else { break }
            let frame = FrameReader.frames(in: Array(side.rest[start..<(start + 9 + length)]))
            if let frame = frame.first { evaluate(frame, &side, &other) }
            start += 9 + length
        }
        side.rest.removeFirst(start)
        store(side, other, fromClient)
    }

    private mutating func store(_ side: Side, _ other: Side, _ fromClient: Bool) {
        sides = fromClient ? (side, other) : (other, side)
    }

    private mutating func evaluate(
        _ frame: FrameReader.Frame,
        _ side: inout Side,
        _ other: inout Side
    ) {
        let id = frame.stream
        if frame.payload.count > other.frameMaximum {
            findings.append("a frame of \(frame.payload.count)")
        }
        if frame.type == 0 || frame.type == 1 {
            if side.ended.contains(id) { findings.append("\(frame) after its own end") }
            if frame.flags & 1 == 1 { side.ended.insert(id) }
        }
        switch frame.type {
        case 0:
            side.connectionWindow -= frame.payload.count
            side.streamWindows[id, default: side.initialWindow] -= frame.payload.count
            if side.connectionWindow < 0 { findings.append("the connection's window is overdrawn") }
            // A window in debt after SETTINGS must stop all but empty frames.
            if !frame.payload.isEmpty, side.streamWindows[id, default: 0] < 0 {
                findings.append("stream \(id)'s window is overdrawn")
            }
        case 1:
            if side.streamWindows[id] == nil { side.streamWindows[id] = side.initialWindow }
            if other.streamWindows[id] == nil { other.streamWindows[id] = other.initialWindow }
        case 3: side.ended.insert(id)
        case 4 where frame.flags & 1 == 0:
            let entries = stride(from: 0, to: frame.payload.count, by: 6)
            let windows = entries.filter { frame.payload[$0 + 1] == 4 }
            for entry in entries where frame.payload[entry + 1] == 5 {
                side.frameMaximum = max(side.frameMaximum, Int(frame.word(entry + 2)))
            }
            side.unacknowledged.append(windows.last.map { Int(frame.word($0 + 2)) })
        case 4:
            // This side has read the other's SETTINGS and from here on keeps to them.
            guard !other.unacknowledged.isEmpty else {
                findings.append("an acknowledgement of nothing")
                return
            }
            guard let window = other.unacknowledged.removeFirst() else { return }
            let change = window - side.initialWindow
            side.initialWindow = window
            for stream in side.streamWindows.keys { side.streamWindows[stream]? += change }
        case 7:
            if frame.word(0) > side.lastGoAway { findings.append("GOAWAY grew") }
            side.lastGoAway = frame.word(0)
        case 8:
            let increment = Int(frame.word(0))
            if !(1...0x7FFF_FFFF).contains(increment) {
                findings.append("an update of \(increment)")
            }
            if id == 0 {
                other.connectionWindow += increment
                if other.connectionWindow > connectionWindowMaximum {
                    findings.append("too much window")
                }
            } else if let window = other.streamWindows[id] {
                other.streamWindows[id] = window + increment
                if window + increment > streamWindowMaximum {
                    findings.append("too much stream window")
                }
            } else {
                findings.append("an update of idle stream \(id)")
            }
        default: break
        }
    }
}
