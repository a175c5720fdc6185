import SluiceCore
import SluiceFuzzing
import SluiceTestKit
import SluiceWire

/// Mutates texts and compares what different readers make of them.
///
/// Ours, by skipping and by walking; the tree of small documents; Foundation; and for arrays of
/// numbers, the elements of the tree converted one by one with Swift's initialisers. Each text ends
/// where memory ends.
@safe
struct JSONFuzzer {
    private var random: RandomSource
    private let guarded = GuardedText(capacity: 4096)
    private let seeds: [[UInt8]]
    private let output = GuardedText(capacity: 1 << 16)
    private static let alphabet = Array(
        "[]{}\",:\\/ \t\n0123456789.-+eEtruefalsnNaInfinitybu\u{0}\u{1F}é€𝄞".utf8
    )
    private static let fragments: [[UInt8]] = [
        "NaN", "-Infinity", "true", "false", "null", "[1,2]", "1e308", "1e-320", "0.1", "\\u00e9",
        "\\uD834\\uDD1E", "\\ud800", "\"a\"", "{\"b\":", "],[", "18446744073709551616", "-0",
        "1.5e+3",
        "9007199254740993", "12345678", "0.12345678901234567", "[[", "]]", "  ", "16777217",
    ].map { Array($0.utf8) }

    /// What each reader made of each text: how many executions were accepted.
    private(set) var accepted = 0
    private(set) var arrays = 0

    init(seed: UInt64) {
        random = RandomSource(seed: seed)
        let arrays = [
            "[1,2,3]", "[[1.5,2],[3,4]]", "[true,false,1,0]", "[[[1],[2]],[[3],[4]]]", "[]",
            "[[],[]]", "[255,-128,65535]",
            "[0.1,-0.25,1e-3,3.4028235e38]", "[NaN,Infinity,-Infinity]", "[ 1 , 2 ]",
            "[-9223372036854775808,18446744073709551615]",
            "[0.12345678901234567,12345678.12345678,1e22,1e23]",
            "[0.1,0.12,0.123,0.1234567,0.12345678,0.123456789,0.1234567812345678]",
        ]
        let texts = JSONConformanceCases.accepted + JSONConformanceCases.refused
        seeds =
            texts.map { Array($0.utf8) }
            + Array(repeating: arrays, count: 20).joined().map { Array($0.utf8) }
    }

    /// Runs `count` executions, and returns what went wrong, at most ten findings.
    mutating func run(count: Int) -> [String] {
        var findings: [String] = []
        for _ in 0..<count where findings.count < 10 {
            let text = next()
            if let finding = unsafe guarded.with(text, { unsafe evaluate(text, $0) }) {
                findings.append("\(finding): \(String(decoding: text, as: UTF8.self)) \(text)")
            }
        }
        return findings
    }

    // MARK: - Texts

    private mutating func below(_ bound: Int) -> Int {
        Int(random.next() as UInt64 % UInt64(bound))
    }

    private mutating func next() -> [UInt8] {
        var text = seeds[below(seeds.count)]
        for _ in 0..<below(5) {
            let place = below(text.count + 1)
            switch below(7) {
            case 0 where place < text.count: text[place] ^= 1 << UInt8(below(8))
            case 1 where place < text.count: text[place] = Self.alphabet[below(Self.alphabet.count)]
            case 2 where place < text.count: text.remove(at: place)
            case 3:
                text.insert(contentsOf: Self.fragments[below(Self.fragments.count)], at: place)
            case 4:
                let end = place + below(text.count - place + 1)
                text.insert(contentsOf: Array(text[place..<end]), at: below(text.count + 1))
            case 5:
                let other = seeds[below(seeds.count)]
                text.replaceSubrange(place..., with: other.suffix(below(other.count + 1)))
            default: text.insert(Self.alphabet[below(Self.alphabet.count)], at: place)
            }
        }
        return text.count <= 4096 ? text : Array(text[..<4096])
    }

    // MARK: - Verdicts

    private mutating func evaluate(_ text: [UInt8], _ bytes: UnsafeRawBufferPointer) -> String? {
        let isStrict = random.next() & 1 == 0
        let isSkipped = unsafe JSONVerdict.skip(bytes, allowsNonFinite: !isStrict)
        let walked = unsafe JSONVerdict.walk(bytes, allowsNonFinite: !isStrict)
        if isSkipped != (walked != nil) { return "skipped \(isSkipped), walked otherwise" }
        if isSkipped { accepted += 1 }
        // The tree allows 100 levels, and always the tokens.
        let tree = try? JSONParser.parse(text)
        let brackets = text.count { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }
        if !isStrict, brackets <= JSONCursor.depthMaximum, tree != walked {
            return "the tree differs"
        }
        if isStrict, brackets <= 64, !JSONVerdict.foundationDiffers(text) {
            if JSONVerdict.foundation(text) != isSkipped { return "Foundation says \(!isSkipped)" }
        }
        let type = JSONNumberType.allCases[below(JSONNumberType.allCases.count)]
        var cursor = unsafe JSONCursor(bytes)
        var shape: [Int]?
        if let found = unsafe try? cursor.numbers(type, into: output.memory),
            (try? cursor.finish()) != nil
        {
            shape = found.array
        }
        var reference = NumberReference(type: type)
        let expected = tree.flatMap { reference.read($0) }
        if shape != expected { return "\(type): \(shape ?? [-1]), not \(expected ?? [-1])" }
        guard shape != nil else { return nil }
        arrays += 1
        let count = reference.bytes.count
        return unsafe output.memory[..<count].elementsEqual(reference.bytes)
            ? nil : "\(type): other elements"
    }
}
