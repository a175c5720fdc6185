import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

/// One sentence of RFC 9113, as frames and what must come of them.
struct ConformanceCase: Sendable, CustomTestStringConvertible {
    enum Outcome: Equatable, Sendable {
        /// Nothing is refused.
        case accepted
        /// RST_STREAM on a stream; the connection lives.
        case stream(UInt32, HTTP2ErrorCode)
        /// GOAWAY, and nothing more is heard.
        case connection(HTTP2ErrorCode)
    }

    var section: String
    var says: String
    var frames: [RawFrame]
    var outcome: Outcome
    var isClient = false
    var needsPreface = true
    var requests: [[HeaderField]] = []

    var testDescription: String { "§\(section) \(says)" }

    /// A case for our server.
    init(_ section: String, _ says: String, _ outcome: Outcome, _ frames: RawFrame...) {
        self.section = section
        self.says = says
        self.outcome = outcome
        self.frames = frames
    }

    /// A case for our server with all bytes given.
    init(bare section: String, _ says: String, _ outcome: Outcome, _ frames: RawFrame...) {
        self.init(section, says, outcome)
        self.frames = frames
        needsPreface = false
    }

    /// A case for our client, which has sent `requests` on streams 1, 3, ….
    init(
        client section: String,
        _ says: String,
        _ outcome: Outcome,
        requests: [[HeaderField]] = [TestSession.get()],
        _ frames: RawFrame...
    ) {
        self.init(section, says, outcome)
        self.frames = frames
        self.requests = requests
        isClient = true
    }

    /// Every byte the session under test hears.
    var input: [UInt8] {
        var opening: [RawFrame] = []
        if needsPreface {
            if !isClient { opening.append(.preface) }
            opening += [.settings(), .settingsAcknowledgement]
        }
        return (opening + frames).flatMap(\.bytes)
    }

    func session() -> TestSession {
        let session = TestSession(isClient ? .client : .server)
        for request in requests { session.request(request) }
        _ = session.takeOutput()
        return session
    }
}

@Suite("RFC 9113, sentence by sentence")
struct HTTP2ConformanceTests {
    @Test("The session answers as the section says", arguments: ConformanceCase.all)
    func conforms(row: ConformanceCase) {
        let session = row.session()
        session.receive(row.input)
        let frames = FrameReader.frames(in: session.takeOutput())
        let resets = frames.filter { $0.type == 3 }.map { ($0.stream, $0.word(0)) }
        let goAways = frames.filter { $0.type == 7 }.map { $0.word(4) }
        switch row.outcome {
        case .accepted:
            #expect(session.failure == nil)
            #expect(resets.isEmpty)
        case .stream(let id, let code):
            #expect(session.failure == nil)
            #expect(resets.count == 1)
            #expect(resets.first?.0 == id)
            #expect(resets.first?.1 == code.rawValue)
        case .connection(let code):
            #expect(session.failure?.code == code)
            #expect(goAways == [code.rawValue])
            #expect(frames.last?.type == 7)
            // The dead say nothing more.
            session.receive(RawFrame.ping().bytes)
            #expect(session.outputCount == 0)
            #expect(!session.canOpenStream)
        }
        if row.outcome != .connection(session.failure?.code ?? .noError) {
            session.receive(RawFrame.ping([8, 7, 6, 5, 4, 3, 2, 1]).bytes)
            let answer = FrameReader.frames(in: session.takeOutput()).last
            #expect(answer?.type == 6)
            #expect(answer?.payload == [8, 7, 6, 5, 4, 3, 2, 1])
        }
        #expect(session.violations == [])
    }

    @Test("The answer does not depend on the cuts", arguments: ConformanceCase.all)
    func conformsHoweverCut(row: ConformanceCase) {
        let whole = row.session()
        whole.receive(row.input)
        let output = whole.takeOutput()
        for cut in [Cut.bytewise, .random(seed: 1), .random(seed: 2), .random(seed: 3)] {
            let session = row.session()
            session.receive(row.input, cut: cut)
            #expect(session.events == whole.events, "\(cut)")
            #expect(session.takeOutput() == output, "\(cut)")
        }
    }
}
