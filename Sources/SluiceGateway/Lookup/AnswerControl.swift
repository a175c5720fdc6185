import SluiceCore
import SluiceHTTP

/// What an answer's own `cache-control` says of it to a cache that serves many (RFC 9111 §5.2.2).
///
/// A model knows better than its operator's `ttl` when an answer is one caller's alone, or soon wrong.
/// What mustn't be kept mustn't answer another request either, so callers who wait for it are sent to
/// the model themselves (RFC 9111 §4: only what may be stored satisfies several).
struct AnswerControl: BitwiseCopyable {
    /// Nanoseconds for which it is fresh at most; 0: it is neither kept nor shared.
    private(set) var freshness = Int64.max
    /// Whether it is of no use past its time, not even where the model fails.
    private(set) var mustRevalidate = false

    /// An answer without a word on caching.
    init() {}

    /// What the head of an answer says.
    init(_ head: FieldBlock) {
        guard head.index(of: .cacheControl) != nil else { return }
        var (forbidden, own, shared) = (false, Int64?.none, Int64?.none)
        for index in 0..<head.count
        where head[index].name == .cacheControl && !head[index].isRemoved {
            unsafe ListText.forEach(in: head.value(of: head[index])) { directive in
                let (name, value) = unsafe AnswerControl.parts(directive)
                func isCalled(_ word: StaticString) -> Bool {
                    unsafe ASCII.equal(name, ignoringCaseOf: word)
                }
                if isCalled("no-store") || isCalled("private") || isCalled("no-cache") {
                    forbidden = true
                } else if isCalled("max-age") {
                    own = unsafe AnswerControl.nanoseconds(value)
                } else if isCalled("s-maxage") {
                    // It implies proxy-revalidate (§5.2.2.10).
                    shared = unsafe AnswerControl.nanoseconds(value)
                    mustRevalidate = true
                } else if isCalled("must-revalidate") || isCalled("proxy-revalidate") {
                    mustRevalidate = true
                }
            }
        }
        freshness = forbidden ? 0 : shared ?? own ?? .max
    }

    /// An answer that is neither kept nor shared.
    static var unstorable: AnswerControl {
        var control = AnswerControl()
        control.freshness = 0
        return control
    }

    /// Whether it may be kept, and given to others who ask the same.
    var isStorable: Bool { freshness > 0 }

    /// A directive's name, and what stands behind its `=`, without quotes.
    private static func parts(
        _ directive: UnsafeRawBufferPointer
    ) -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        guard let equals = unsafe directive.firstIndex(of: UInt8(ascii: "=")) else {
            return unsafe (directive, UnsafeRawBufferPointer(start: nil, count: 0))
        }
        var value = unsafe UnsafeRawBufferPointer(rebasing: directive[(equals + 1)...])
        if value.count >= 2, unsafe value.first == ASCII.quote, unsafe value.last == ASCII.quote {
            unsafe value = UnsafeRawBufferPointer(rebasing: value.dropFirst().dropLast())
        }
        return unsafe (UnsafeRawBufferPointer(rebasing: directive[..<equals]), value)
    }

    /// Seconds as nanoseconds; what is no number is stale (§4.2.1), and ten years are for ever.
    private static func nanoseconds(_ seconds: UnsafeRawBufferPointer) -> Int64 {
        guard unsafe !seconds.isEmpty, unsafe seconds.allSatisfy({ ASCII.isDigit($0) }) else {
            return 0
        }
        let longest: Int64 = 315_360_000
        return unsafe min(Int64(ASCII.decimal(seconds) ?? Int(longest)), longest) * 1_000_000_000
    }
}
