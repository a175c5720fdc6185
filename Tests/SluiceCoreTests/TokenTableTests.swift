import SluiceCore
import Testing

@Suite("The table of tokens")
struct TokenTableTests {
    private static func record(_ number: UInt64) -> UnsafeMutableRawPointer? {
        unsafe UnsafeMutableRawPointer(bitPattern: UInt(number))
    }

    @Test("It holds what a dictionary holds, whatever order records leave in", arguments: 1...20)
    func model(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var table = TokenTable()
        var model: [UInt64: UInt64] = [:]
        var next: UInt64 = 0
        for _ in 0..<20_000 {
            // It fills and empties in turn, over several doublings.
            let fills = (next / 700) % 2 == 0 ? 6 : 3
            if random.next(below: 10) < fills {
                next += UInt64(1 + random.next(below: 3) * random.next(below: 40))
                let record = unsafe try #require(unsafe Self.record(next * 8))
                unsafe table.insert(next, record)
                model[next] = next * 8
            } else {
                let token =
                    random.next(below: 4) == 0
                    ? UInt64(random.next(below: 5000)) : model.randomElement()?.key ?? 0
                let found = unsafe table.remove(token)
                let expected = unsafe model.removeValue(forKey: token).flatMap {
                    unsafe Self.record($0)
                }
                #expect(unsafe found == expected)
            }
            #expect(table.count == model.count)
        }
        for (token, value) in model {
            #expect(unsafe table.remove(token) == Self.record(value))
        }
        #expect(table.count == 0)
    }

    @Test("A token that is there already gets the newer record; 0 is nobody's")
    func again() throws {
        var table = TokenTable()
        let (one, two) = unsafe try (
            #require(unsafe Self.record(8)), #require(unsafe Self.record(16))
        )
        unsafe table.insert(5, one)
        unsafe table.insert(5, two)
        #expect(table.count == 1)
        #expect(unsafe table.remove(0) == nil)
        #expect(unsafe table.remove(5) == two)
        #expect(unsafe table.remove(5) == nil)
    }
}

@Suite("Nanoseconds of a duration")
struct DurationTests {
    @Test(
        "Whole nanoseconds towards zero, saturating at 292 years",
        arguments: [
            (.zero, 0), (.nanoseconds(1), 1), (.seconds(3600), 3_600_000_000_000),
            (.milliseconds(-5), -5_000_000), (.seconds(-1), -1_000_000_000),
            (Duration(secondsComponent: 0, attosecondsComponent: 1_999_999_999), 1),
            (Duration(secondsComponent: 0, attosecondsComponent: -1_999_999_999), -1),
            (.seconds(9_223_372_036) + .nanoseconds(854_775_807), .max),
            (.seconds(9_223_372_037), .max), (.seconds(18_446_744_074), .max),
            (.seconds(40_000_000_000), .max), (.seconds(-40_000_000_000), .min),
            (.seconds(Int64.max), .max),
        ] as [(Duration, Int64)]
    )
    func nanoseconds(duration: Duration, expected: Int64) {
        #expect(duration.nanoseconds == expected)
    }
}
