private import SluiceCore

/// What kind of value stands in a JSON text.
package enum JSONKind: Sendable {
    case object, array, string, number, bool, null
}

/// A reader that walks a borrowed JSON text (RFC 8259) from left to right and allocates nothing.
///
/// The caller says what it expects; what stands there instead is an error with its place:
///
/// ```swift
/// var cursor = JSONCursor(bytes)
/// try cursor.enterObject()
/// while let name = try cursor.nextMember() {
///     switch name {
///     case "inputs":
///         try cursor.enterArray()
///         while try cursor.nextElement() { try readInput(&cursor) }
///     default: try cursor.skip()
///     }
/// }
/// try cursor.finish()
/// ```
///
/// Each member and element must be read (or skipped) before the next is asked for. A cursor is a
/// plain value: a copy is a bookmark. Slices it hands out live as long as the text.
///
/// The grammar is strict, but for the tokens `NaN`, `Infinity` and `-Infinity` where they are
/// allowed: Python, TF Serving and Triton write them. Depth is bounded by ``depthMaximum``, and
/// nothing recurses. Names may repeat; whoever cares has to count.
@safe
package struct JSONCursor: BitwiseCopyable {
    /// Arrays and objects within each other, at most.
    package static let depthMaximum = 64

    // The caller's memory, for as long as the caller says. Nothing is read before its place was
    // compared with `end`; eight bytes at once only where `end` is eight bytes away.
    let start: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>
    var place: UnsafePointer<UInt8>
    /// Whether `NaN`, `Infinity` and `-Infinity` are numbers.
    package let allowsNonFinite: Bool
    /// Whether `null` among the elements of a floating-point array is NaN, as MLServer writes it.
    package let nullIsNaN: Bool
    /// How many arrays and objects are open.
    package private(set) var depth = 0
    // Whether the innermost array or object was just entered: no comma goes before what is next.
    private var isFresh = false

    /// A reader at the beginning of `bytes`, which must outlive it.
    package init(
        _ bytes: UnsafeRawBufferPointer,
        allowsNonFinite: Bool = true,
        nullIsNaN: Bool = false
    ) {
        // No bytes may come without an address; any will do, as it's never read.
        unsafe start =
            unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            ?? StaticString("").utf8Start
        unsafe end = unsafe start + bytes.count
        unsafe place = unsafe start
        self.allowsNonFinite = allowsNonFinite
        self.nullIsNaN = nullIsNaN
    }

    /// Where the reader stands, in bytes from the beginning.
    package var offset: Int { unsafe place - start }

    /// An error at the place where the reader stands.
    package func failure(_ sentence: String) -> JSONFailure {
        JSONFailure(offset: offset, sentence: sentence)
    }

    // MARK: - Walking

    /// What kind of value is next, by its first byte.
    package mutating func peek() throws(JSONFailure) -> JSONKind {
        switch nextByte() {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        case ASCII.dash, ASCII.zero...(ASCII.zero + 9): return .number
        case UInt8(ascii: "N") where allowsNonFinite, UInt8(ascii: "I") where allowsNonFinite:
            return .number
        default: throw notAValue()
        }
    }

    /// Steps into the object that is next.
    package mutating func enterObject() throws(JSONFailure) {
        try enter(UInt8(ascii: "{"), "an object is missing here")
    }

    /// Steps into the array that is next.
    package mutating func enterArray() throws(JSONFailure) {
        try enter(UInt8(ascii: "["), "an array is missing here")
    }

    /// The name of the object's next member, whose value is to be read now; nil steps out.
    package mutating func nextMember() throws(JSONFailure) -> JSONString? {
        guard try advance(closing: UInt8(ascii: "}"), "a comma or } is missing") else {
            return nil
        }
        guard nextByte() == UInt8(ascii: "\"") else { throw failure("a member's name is missing") }
        let name = try string()
        guard nextByte() == ASCII.colon else { throw failure("a colon is missing") }
        unsafe place += 1
        return name
    }

    /// Whether the array has another element, which is to be read now; false steps out.
    package mutating func nextElement() throws(JSONFailure) -> Bool {
        try advance(closing: UInt8(ascii: "]"), "a comma or ] is missing")
    }

    /// Sees to it that nothing but white space is left.
    package mutating func finish() throws(JSONFailure) {
        skipBlanks()
        guard unsafe place == end else { throw failure("something after the end") }
    }

    // MARK: - Values

    /// Reads a string.
    package mutating func string() throws(JSONFailure) -> JSONString {
        guard nextByte() == UInt8(ascii: "\"") else { throw mismatch("a string") }
        return try scanString()
    }

    /// Reads a number, or one of the tokens where they are allowed.
    package mutating func number() throws(JSONFailure) -> JSONNumber {
        let byte = nextByte()
        guard
            byte == ASCII.dash || ASCII.isDigit(byte) || byte == UInt8(ascii: "N")
                || byte == UInt8(ascii: "I")
        else { throw mismatch("a number") }
        return try scanNumber()
    }

    /// Reads `true` or `false`.
    package mutating func bool() throws(JSONFailure) -> Bool {
        if nextByte() == UInt8(ascii: "t"), take("true") { return true }
        if nextByte() == UInt8(ascii: "f"), take("false") { return false }
        throw mismatch("true or false")
    }

    /// Reads `null`.
    package mutating func null() throws(JSONFailure) {
        guard nextByte() == UInt8(ascii: "n"), take("null") else { throw mismatch("null") }
    }

    // MARK: - How

    /// The first byte that isn't white space, or 0 at the end; no JSON value begins with 0.
    @inline(__always)
    mutating func nextByte() -> UInt8 {
        skipBlanks()
        return unsafe place < end ? place.pointee : 0
    }

    @inline(__always)
    mutating func skipBlanks() { unsafe place = unsafe JSONCursor.afterBlanks(place, end) }

    /// The first place from `place` on that isn't white space.
    @inline(__always)
    static func afterBlanks(
        _ place: UnsafePointer<UInt8>,
        _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8> {
        var place = unsafe place
        while unsafe place < end, unsafe place.pointee <= ASCII.space {
            switch unsafe place.pointee {
            case ASCII.space, ASCII.lineFeed, ASCII.carriageReturn, ASCII.tab: unsafe place += 1
            default: return unsafe place
            }
        }
        return unsafe place
    }

    /// Steps over `word` if it stands here.
    mutating func take(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard unsafe end - place >= count else { return false }
        for step in 0..<count where unsafe place[step] != word.utf8Start[step] { return false }
        unsafe place += count
        return true
    }

    /// The error for a place where no value begins.
    func notAValue() -> JSONFailure {
        unsafe failure(place == end ? "a value is missing" : "not a JSON value")
    }

    private func mismatch(_ wanted: String) -> JSONFailure {
        failure("\(wanted) is missing here")
    }

    private mutating func enter(_ bracket: UInt8, _ sentence: String) throws(JSONFailure) {
        guard nextByte() == bracket else { throw failure(sentence) }
        guard depth < JSONCursor.depthMaximum else {
            throw failure("nested deeper than \(JSONCursor.depthMaximum)")
        }
        depth += 1
        unsafe place += 1
        isFresh = true
    }

    private mutating func advance(
        closing bracket: UInt8,
        _ sentence: String
    ) throws(JSONFailure) -> Bool {
        let byte = nextByte()
        defer { isFresh = false }
        if byte == bracket {
            precondition(depth > 0, "the reader is in no array or object")
            depth -= 1
            unsafe place += 1
            return false
        }
        if isFresh { return true }
        guard byte == ASCII.comma else { throw failure(sentence) }
        unsafe place += 1
        return true
    }
}
