import SluiceCore
import SluiceInference
import Testing

extension OwnedKeyContext {
    /// A context of a test's.
    init(_ model: String = "m", _ revision: [UInt8] = [1], _ version: String = "") {
        self.init(
            model: Array(model.utf8),
            revision: revision,
            version: Array(version.utf8),
            revisionNumber: 1
        )
    }
}

/// Keys lie in Redis, where other processes of another version read them, so their bytes are held here.
@Suite("The bytes of a key")
struct KeyContextTests {
    /// A number as it stands in a key.
    private static func number(_ value: UInt8) -> [UInt8] { [value, 0, 0, 0, 0, 0, 0, 0] }

    /// Text behind its length.
    private static func framed(_ text: String) -> [UInt8] {
        number(UInt8(text.utf8.count)) + Array(text.utf8)
    }

    /// What each key of the domain begins with.
    private static func heading(_ domain: String) -> [UInt8] {
        framed("sluice 1") + framed(domain) + framed("iris") + framed("v1\u{0}") + framed("3")
    }

    private static let context = OwnedKeyContext("iris", Array("v1\u{0}".utf8), "3")
    private static let tensors =
        #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"INT8","data":[7,8]}]}"#

    /// What follows the heading for ``tensors``.
    private static var tensorContent: [UInt8] {
        // No parameters, no outputs, one input: no parameters of its own, two bytes.
        number(0) + number(0) + number(1) + framed("x") + framed("INT8") + number(2) + number(1)
            + number(2) + number(0) + number(2) + [7, 8]
    }

    @Test("A V2 request's key is its parts, each behind its length, by either reader")
    func tensors() throws {
        let expected = Self.heading("v2") + Self.tensorContent
        let (body, version) = (Kept(Self.tensors), Kept("3"))
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        var (scanned, read) = ([UInt8](), [UInt8]())
        var scan = CanonicalRequestScanner()
        try #require(
            unsafe scan.read(body: body.bytes, headerLength: nil, version: version.bytes)
        )
        var request = try unsafe InferenceRequest(json: body.bytes)
        request.modelVersion = "3"
        try Self.context.withContext { context in
            #expect(
                unsafe scan.write(context, scratch: &scratch) {
                    unsafe scanned.append(contentsOf: $0)
                }
            )
            unsafe try CanonicalRequest.write(request, context, .generic, scratch: &scratch) {
                unsafe read.append(contentsOf: $0)
            }
        }
        #expect(scanned == expected)
        #expect(read == expected)
        withExtendedLifetime((body, version)) {}
    }

    @Test("A V1 request's key is its parts and its text, and a row's has a domain of its own")
    func text() throws {
        let body = Kept(#"{"instances": [ [1, 2] ]}"#)
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        var (whole, row) = ([UInt8](), [UInt8]())
        try Self.context.withContext { context in
            let request = try unsafe V1Request(body.bytes)
            unsafe CanonicalRequest.write(request, context, scratch: &scratch) {
                unsafe whole.append(contentsOf: $0)
            }
            unsafe try TensorRows(request).writeKeys(context, scratch: &scratch) {
                unsafe row.append(contentsOf: $0)
            } finish: {
            }
        }
        let content = Self.number(1) + Self.framed("instances")
        #expect(whole == Self.heading("v1") + content + Self.framed("[[1,2]]"))
        #expect(row == Self.heading("v1 row") + content + Self.framed("[1,2]"))
        withExtendedLifetime(body) {}
    }

    @Test("Each part is in the key, and a copied context is the same")
    func parts() throws {
        func key(_ context: OwnedKeyContext) throws -> [UInt8] {
            var found: [UInt8] = []
            var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            let body = Kept(#"{"instances":[1]}"#)
            try context.withContext { context in
                unsafe CanonicalRequest.write(
                    try V1Request(body.bytes),
                    context,
                    scratch: &scratch
                ) { unsafe found.append(contentsOf: $0) }
            }
            withExtendedLifetime(body) {}
            return found
        }
        var seen: [[UInt8]] = [try key(OwnedKeyContext("ab", [3, 4], "5"))]
        for part in KeyPart.allCases {
            switch part {
            // One of each for all keys here; held by the tests above.
            case .layout, .domain: continue
            case .model: seen.append(try key(OwnedKeyContext("a", [3, 4], "5")))
            case .revision: seen.append(try key(OwnedKeyContext("ab", [3], "5")))
            case .version: seen.append(try key(OwnedKeyContext("ab", [3, 4], "")))
            }
        }
        // Bytes that trade places between parts.
        seen.append(try key(OwnedKeyContext("ab\u{3}", [4], "5")))
        seen.append(try key(OwnedKeyContext("ab", [3], "\u{4}5")))
        #expect(Set(seen).count == seen.count)
        let copied = OwnedKeyContext("ab", [3, 4], "5").withContext { $0.owned }
        #expect(try key(copied) == seen[0])
    }
}
