import SluiceTelemetry
import Testing

@testable import SluiceGateway

@Suite("What a worker knows by the names of its revisions")
struct RevisionNamesTests {
    private static func plan(_ name: String, _ backendName: String? = nil) -> RevisionPlan {
        RevisionPlan(name: name, backendModelName: backendName, backends: [])
    }

    @Test("A revision that stays keeps its number and its answer's name over reloads")
    func stays() {
        var names = RevisionNames()
        names.begin()
        let number = names.number(of: Self.plan("v1"), in: "m")
        let answer = names.answer(of: "v1")
        names.end()
        for _ in 0..<3 {
            names.begin()
            #expect(names.number(of: Self.plan("v1"), in: "m") == number)
            #expect(names.answer(of: "v1") == answer)
            names.end()
        }
    }

    @Test("One that went and comes back gets another: caches still know the old by its number")
    func comesBack() {
        var names = RevisionNames()
        names.begin()
        let (first, answer) = (names.number(of: Self.plan("v1"), in: "m"), names.answer(of: "v1"))
        names.end()
        names.begin()
        let other = names.number(of: Self.plan("v2"), in: "m")
        names.end()
        names.begin()
        let again = names.number(of: Self.plan("v1"), in: "m")
        #expect(Set([first, other, again]).count == 3)
        #expect(names.answer(of: "v1") != answer)
        names.end()
    }

    @Test("Models, revisions and names at the backend are told apart")
    func apart() {
        var names = RevisionNames()
        names.begin()
        let numbers = [
            names.number(of: Self.plan("v1"), in: "m"), names.number(of: Self.plan("v2"), in: "m"),
            names.number(of: Self.plan("v1"), in: "n"),
            names.number(of: Self.plan("v1", "other"), in: "m"),
            // Names that would be the same text one behind the other.
            names.number(of: Self.plan("1"), in: "mv"),
        ]
        #expect(Set(numbers).count == 5)
        // An answer's head says the revision alone, whoever's it is.
        #expect(names.answer(of: "v1") == names.answer(of: "v1"))
        #expect(names.answer(of: "v1") != names.answer(of: "v2"))
        // The name of trailers, which all share, is nobody's.
        #expect(
            names.answer(of: "v1") != Worker.endName && names.answer(of: "v2") != Worker.endName
        )
        #expect(names.use() != names.use())
    }

    @Test("A revision's series are its own, and stay over a reload")
    func series() {
        let store = MetricStore()
        let codes = CodeTable(store: store)
        var names = RevisionNames()
        names.begin()
        let one = names.metrics(of: "v1", in: "m", store: store, codes: codes)
        let two = names.metrics(of: "v2", in: "m", store: store, codes: codes)
        names.end()
        #expect(one !== two)
        names.begin()
        #expect(names.metrics(of: "v1", in: "m", store: store, codes: codes) === one)
        names.end()
    }
}
