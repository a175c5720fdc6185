import SluiceRouting
import Testing

@Suite("Routes")
struct RouteTableTests {
    static func match(_ source: FieldSource, _ test: FieldMatch.Test = .present) -> FieldMatch {
        FieldMatch(source: source, test: test)
    }

    static func equals(_ text: String) -> FieldMatch.Test { .equals(Array(text.utf8)) }
    static func prefix(_ text: String) -> FieldMatch.Test { .prefix(Array(text.utf8)) }

    static let table = RouteTable([
        .init(match: match(.header("x-canary"), equals("always")), revision: 1),
        .init(match: match(.header("user-agent"), prefix("loadtest/")), revision: 2),
        .init(match: match(.cookie("beta"), equals("1")), revision: 1),
        .init(match: match(.header("x-debug")), revision: 0),
        .init(match: match(.header("x-canary")), revision: 2),
    ])

    static func revision(_ head: [(FieldSource, String)]) -> Int? {
        unsafe table.revision { route, accepts in
            head.contains { source, value in
                guard source == table.routes[route].match.source else { return false }
                return unsafe Array(value.utf8).withUnsafeBytes { unsafe accepts($0) }
            }
        }
    }

    @Test("No route holds for a head without what they look for")
    func none() {
        #expect(Self.revision([]) == nil)
        #expect(Self.revision([(.header("beta"), "1"), (.cookie("x-debug"), "1")]) == nil)
        #expect(
            Self.revision([(.cookie("beta"), "10"), (.header("user-agent"), "loadtest")]) == nil
        )
    }

    @Test("The first route that holds wins")
    func order() {
        #expect(Self.revision([(.header("x-debug"), ""), (.header("x-canary"), "always")]) == 1)
        #expect(Self.revision([(.header("x-debug"), ""), (.header("x-canary"), "never")]) == 0)
        #expect(Self.revision([(.header("x-canary"), "Always")]) == 2)
    }

    @Test("One value that passes is enough, wherever it stands")
    func several() {
        #expect(
            Self.revision([(.header("x-canary"), "never"), (.header("x-canary"), "always")]) == 1
        )
        #expect(Self.revision([(.header("user-agent"), "loadtest/2")]) == 2)
        #expect(Self.revision([(.cookie("beta"), "0"), (.cookie("beta"), "1")]) == 1)
    }

    @Test(
        "A test covers another when all that passes the other passes it",
        arguments: [
            (FieldMatch.Test.present, equals(""), true), (.present, prefix("a"), true),
            (prefix("ab"), equals("abc"), true), (prefix("ab"), prefix("abc"), true),
            (equals("a"), equals("a"), true), (equals("a"), prefix("a"), false),
            (prefix("abc"), prefix("ab"), false), (equals("a"), .present, false),
            (prefix("a"), .present, false), (equals("a"), equals("b"), false),
        ]
    )
    func covers(first: FieldMatch.Test, second: FieldMatch.Test, expected: Bool) {
        #expect(first.covers(second) == expected)
        let (name, other) = (FieldSource.header("x"), FieldSource.cookie("x"))
        #expect(Self.match(name, first).covers(Self.match(name, second)) == expected)
        #expect(!Self.match(name, first).covers(Self.match(other, second)))
    }
}
