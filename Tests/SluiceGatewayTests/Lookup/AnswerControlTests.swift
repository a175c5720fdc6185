import SluiceHTTP
import Testing

@testable import SluiceGateway

@Suite("What an answer's own cache-control says of it")
struct AnswerControlTests {
    /// Fields, seconds of freshness (nil: no bound of its own), and whether it must be revalidated.
    struct Saying: Sendable, CustomTestStringConvertible {
        let fields: [String]
        let seconds: Int64?
        var mustRevalidate = false
        var testDescription: String { fields.joined(separator: " | ") }
    }

    static let sayings = [
        Saying(fields: [], seconds: nil),
        Saying(fields: ["public"], seconds: nil),
        Saying(fields: ["max-age=60"], seconds: 60),
        Saying(fields: ["Max-Age=60"], seconds: 60),
        Saying(fields: ["max-age=\"60\""], seconds: 60),
        Saying(fields: [" public ,\tmax-age=60 "], seconds: 60),
        Saying(fields: ["max-age=0"], seconds: 0),
        // §4.2.1: what is no number is stale.
        Saying(fields: ["max-age"], seconds: 0),
        Saying(fields: ["max-age=-1"], seconds: 0),
        Saying(fields: ["max-age=1.5"], seconds: 0),
        Saying(fields: ["max-age=\"\""], seconds: 0),
        // §1.2.2: too large a number is for ever; ours ends at ten years.
        Saying(fields: ["max-age=99999999999999999999999"], seconds: 315_360_000),
        // §5.2.2.10: the shared one goes before, and asks for revalidation.
        Saying(fields: ["s-maxage=5, max-age=60"], seconds: 5, mustRevalidate: true),
        Saying(fields: ["max-age=60", "s-maxage=5"], seconds: 5, mustRevalidate: true),
        Saying(fields: ["s-maxage=0, max-age=60"], seconds: 0, mustRevalidate: true),
        Saying(fields: ["no-store"], seconds: 0),
        Saying(fields: ["private"], seconds: 0),
        Saying(fields: ["private=\"set-cookie\""], seconds: 0),
        Saying(fields: ["no-cache"], seconds: 0),
        Saying(fields: ["max-age=60, no-store"], seconds: 0),
        Saying(fields: ["no-store", "s-maxage=60"], seconds: 0, mustRevalidate: true),
        Saying(fields: ["max-age=60, must-revalidate"], seconds: 60, mustRevalidate: true),
        Saying(fields: ["proxy-revalidate"], seconds: nil, mustRevalidate: true),
        // Words that only begin alike.
        Saying(fields: ["no-storer, privately, max-aged=1, x-max-age=2"], seconds: nil),
    ]

    @Test("Directives of RFC 9111 §5.2.2", arguments: sayings)
    func saying(saying: Saying) {
        let control = AnswerControl(Head(saying.fields.map { ("cache-control", $0) }).block)
        #expect(control.freshness == saying.seconds.map { $0 * 1_000_000_000 } ?? .max)
        #expect(control.mustRevalidate == saying.mustRevalidate)
        #expect(control.isStorable == (saying.seconds != 0))
    }

    @Test("A field that was taken out says nothing, and an unstorable answer is none to keep")
    func removed() {
        let head = Head([("cache-control", "no-store"), ("cache-control", "max-age=3")])
        head.block.remove(at: 0)
        #expect(AnswerControl(head.block).freshness == 3_000_000_000)
        #expect(!AnswerControl.unstorable.isStorable && AnswerControl().isStorable)
    }
}
