import SluiceAdmin
import SluiceCore
import Testing

@Suite("The stream of the state")
struct StateStreamTests {
    /// WHATWG HTML §9.2.6: lines end at CR LF, LF or CR; each line of data has its own field.
    @Test(
        "A message is framed so that its data comes out as it went in",
        arguments: [
            ("{\"a\":1}", "event: state\ndata: {\"a\":1}\n\n"),
            ("", "event: state\ndata: \n\n"),
            ("one\ntwo", "event: state\ndata: one\ndata: two\n\n"),
            ("one\r\ntwo\rthree", "event: state\ndata: one\ndata: two\ndata: three\n\n"),
            ("end\n", "event: state\ndata: end\ndata: \n\n"),
            (
                "x\n\nevent: forged\ndata: y",
                "event: state\ndata: x\ndata: \ndata: event: forged\ndata: data: y\n\n"
            ),
        ]
    )
    func framing(data: String, text: String) {
        let bytes = ServerSentEvent.message("state", data: Array(data.utf8))
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }

    @Test("A message may have an id, which clients give back when they connect again")
    func ids() {
        let bytes = ServerSentEvent.message("events", data: Array("[]".utf8), id: "7-3")
        #expect(String(decoding: bytes, as: UTF8.self) == "event: events\nid: 7-3\ndata: []\n\n")
    }

    @Test("Who hasn't taken the last frame is passed over, not queued for")
    func slow() {
        var subscriber = StreamSubscriber(lastEvent: 0, at: .zero)
        var isTaken = subscriber.takesFrame()
        #expect(isTaken)
        subscriber.sent(1000, moved: 400)
        for _ in 0..<3 {
            isTaken = subscriber.takesFrame()
            #expect(!isTaken)
        }
        #expect(subscriber.skipped == 3)
        subscriber.drained(599)
        isTaken = subscriber.takesFrame()
        #expect(!isTaken)
        subscriber.drained(1)
        isTaken = subscriber.takesFrame()
        #expect(isTaken)
        #expect(subscriber.skipped == 4)
    }

    @Test("Who takes everything at once is never passed over")
    func fast() {
        var subscriber = StreamSubscriber(lastEvent: 7, at: .zero)
        for _ in 0..<10 {
            let isTaken = subscriber.takesFrame()
            #expect(isTaken)
            subscriber.sent(500, moved: 500)
        }
        #expect(subscriber.skipped == 0 && subscriber.lastEvent == 7)
    }
}
