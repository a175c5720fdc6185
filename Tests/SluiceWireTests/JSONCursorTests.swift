import SluiceCore
import SluiceWire
import Testing

@Suite("JSON cursor")
struct JSONCursorTests {
    static func with<Result>(
        _ text: String,
        _ body: (inout JSONCursor) throws -> Result
    ) rethrows -> Result {
        unsafe try Array(text.utf8).withUnsafeBytes { bytes in
            var cursor = unsafe JSONCursor(bytes)
            return try body(&cursor)
        }
    }

    static func failure(_ text: String, _ body: (inout JSONCursor) throws -> Void) -> JSONFailure? {
        do {
            try with(text, body)
            return nil
        } catch {
            return error as? JSONFailure
        }
    }

    @Test("A V2 request is walked by name")
    func request() throws {
        let text = """
            { "id" : "x\\u0041", "inputs": [{"name":"a","shape":[1, 2],"data":[[1.5,2]]}],
              "parameters": {"k": true, "n": null, "big": 18446744073709551615} }
            """
        var seen: [String] = []
        try Self.with(text) { cursor in
            try cursor.enterObject()
            while let name = try cursor.nextMember() {
                switch name {
                case "id": seen.append(try cursor.string().string)
                case "inputs":
                    try cursor.enterArray()
                    while try cursor.nextElement() {
                        let slice = unsafe try cursor.skip()
                        unsafe seen.append(String(decoding: slice, as: UTF8.self))
                    }
                case "parameters":
                    try cursor.enterObject()
                    while let name = try cursor.nextMember() {
                        seen.append(name.string)
                        switch try cursor.peek() {
                        case .bool: seen.append("\(try cursor.bool())")
                        case .null: try cursor.null()
                        default: seen.append("\(try cursor.number().uint64 ?? 0)")
                        }
                    }
                default: Issue.record("\(name.string)")
                }
            }
            try cursor.finish()
            #expect(cursor.depth == 0)
        }
        #expect(
            seen == [
                "xA", "{\"name\":\"a\",\"shape\":[1, 2],\"data\":[[1.5,2]]}", "k", "true", "n",
                "big",
                "18446744073709551615",
            ]
        )
    }

    @Test("Errors tell the place")
    func places() {
        #expect(Self.failure("[1,2") { while try $0.isMore() { _ = try $0.number() } }?.offset == 4)
        #expect(Self.failure("{\"a\" 1}") { try $0.pass() }?.offset == 5)
        #expect(Self.failure("  \"a\\x\"") { _ = try $0.string() }?.offset == 4)
        #expect(
            Self.failure("[1] 2") {
                try $0.pass(); try $0.finish()
            }?.offset == 4
        )
        #expect(
            Self.failure("true") { _ = try $0.number() }?.sentence == "a number is missing here"
        )
        #expect(Self.failure("1") { try $0.enterObject() }?.sentence == "an object is missing here")
    }

    @Test("Skimming finds the end of what it doesn't read")
    func skim() throws {
        let inner = "[[1,2,{\"a]\":\"}\\\"]\"}],[3.25,4,5,6,7,8,9,10,11,12,13,14,15]]"
        try Self.with(" \(inner) ,next") { cursor in
            let skimmed = unsafe String(decoding: try cursor.skim(), as: UTF8.self)
            #expect(skimmed == inner)
            #expect(cursor.offset == inner.utf8.count + 1)
        }
        let count = try Self.with("12.5,") { unsafe try $0.skim().count }
        #expect(count == 4)
        #expect(
            Self.failure("[[1]") { try $0.glance() }?.sentence == "an array or object has no end"
        )
        #expect(Self.failure(String(repeating: "[", count: 70)) { try $0.glance() }?.offset == 64)
    }

    @Test("A copy is a bookmark")
    func bookmark() throws {
        try Self.with("[1,2]") { cursor in
            try cursor.enterArray()
            let place = cursor
            #expect(try cursor.nextElement() && cursor.number().int64 == 1)
            cursor = place
            #expect(try cursor.nextElement() && cursor.number().int64 == 1)
        }
    }

    @Test(
        "Strings lose their escapes",
        arguments: [
            ("\"\"", ""), ("\"plain\"", "plain"),
            ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\u{8}\u{C}\n\r\t"),
            ("\"\\u0041\\u00e9\\u20AC\\uD834\\uDD1Ez\"", "Aé€𝄞z"), ("\"é\\u0000€\"", "é\u{0}€"),
        ]
    )
    func strings(text: String, expected: String) throws {
        try Self.with(text) { cursor in
            let string = try cursor.string()
            #expect(string.string == expected)
            #expect(string.isPlain == !text.contains("\\"))
            let pool = BufferPool()
            var buffer = ByteBuffer(pool: pool)
            #expect(string.append(to: &buffer) == expected.utf8.count)
            let text = unsafe String(decoding: buffer.bytes, as: UTF8.self)
            #expect(text == expected)
        }
    }

    static func string(_ text: StaticString) throws -> JSONString {
        // A literal's bytes are always there.
        var cursor = unsafe JSONCursor(
            UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        )
        return try cursor.string()
    }

    @Test("Names compare without their escapes")
    func names() throws {
        #expect(try Self.string("\"inp\\u0075ts\"").equals("inputs"))
        #expect(try Self.string("\"inputs\"").equals("inputs"))
        #expect(try !Self.string("\"input\"").equals("inputs"))
    }

    @Test("Strings are written so that they read back")
    func quoting() throws {
        let every = String(String.UnicodeScalarView((0..<0x250).compactMap(Unicode.Scalar.init)))
        for text in ["", "plain", "a\"b\\c", "\u{0}\u{1F}\n\r\t", every, "12345678\n12345678", "𝄞"]
        {
            let pool = BufferPool()
            var buffer = ByteBuffer(pool: pool)
            JSONStringText.append(text, to: &buffer)
            var cursor = unsafe JSONCursor(buffer.bytes)
            #expect(try cursor.string().string == text)
            let bytes = unsafe Array(buffer.bytes)
            #expect(bytes == JSONValue.string(text).serialized)
        }
        let pool = BufferPool()
        var buffer = ByteBuffer(pool: pool)
        let isText = unsafe [0x61, 0xFF].withUnsafeBytes {
            unsafe JSONStringText.append($0, to: &buffer)
        }
        #expect(!isText && buffer.isEmpty)
    }
}

extension JSONCursor {
    fileprivate mutating func pass() throws(JSONFailure) { unsafe try skip() }

    fileprivate mutating func glance() throws(JSONFailure) { unsafe try skim() }

    fileprivate mutating func isMore() throws(JSONFailure) -> Bool {
        if depth == 0 { try enterArray() }
        return try nextElement()
    }
}
