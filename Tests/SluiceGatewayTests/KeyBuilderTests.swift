import SluiceCache
import SluiceCore
import SluiceInference
import Testing

@testable import SluiceGateway

/// A key has two ways: the canonical request, and a message's own bytes; neither may forget a part.
@Suite("Both ways to a key")
struct KeyBuilderTests {
    /// What a request's key is made of, for a test to change in one part.
    struct Parts {
        var model = "m"
        var revision: [UInt8] = [1]
        /// In the message.
        var version = "1"
        /// A worker gives another revision another number.
        var number: UInt32 = 1

        var context: OwnedKeyContext {
            OwnedKeyContext(
                model: Array(model.utf8),
                revision: revision,
                version: [],
                revisionNumber: number
            )
        }

        /// The gRPC request in its frame.
        func message(id: String = "7") throws -> ByteBuffer {
            let pool = BufferPool(retainedMaximum: 0)
            var output = ByteBuffer(pool: pool)
            var scratch = ByteBuffer(pool: pool)
            var request = InferenceRequest()
            request.modelName = "m"
            request.modelVersion = version
            request.id = id
            request.inputs = [Tensor(name: "x", datatype: .int8, shape: [2], data: .owned([7, 8]))]
            PredictCodec.beginFrame(&output)
            try request.writeProtobuf(to: &output, scratch: &scratch, .generic)
            PredictCodec.endFrame(&output)
            return output
        }
    }

    /// `parts`, of which one is another; nil where no two gRPC requests differ in it.
    static func changed(_ part: KeyPart, _ parts: Parts) -> Parts? {
        var parts = parts
        switch part {
        case .layout, .domain: return nil
        case .model: (parts.model, parts.number) = ("n", 2)
        case .revision: (parts.revision, parts.number) = ([2], 2)
        case .version: parts.version = "2"
        }
        return parts
    }

    private static let reader = KeyBuilder.Reader(form: .grpc, headerLength: nil, meaning: nil)

    private static func key(_ parts: Parts, _ keys: inout KeyBuilder) throws -> CacheKey {
        let message = try parts.message()
        let read = parts.context.withContext { context in
            unsafe keys.read(message.bytes, reader, context)
        }
        return try #require(read).key
    }

    private static func find(
        _ parts: Parts,
        id: String = "7",
        in cache: borrowing ExactRequestKeyCache
    ) throws -> CacheKey? {
        let buffer = try parts.message(id: id)
        guard let message = unsafe ExactRequestKeyCache.Message(buffer.bytes) else { return nil }
        return parts.context.withContext { context in
            cache.find(message, context)?.key
        }
    }

    @Test("Requests that differ in one part never share a key, by either way")
    func parts() throws {
        var keys = KeyBuilder(pool: BufferPool(retainedMaximum: 0))
        var cache = ExactRequestKeyCache()
        let base = Parts()
        let key = try Self.key(base, &keys)
        let buffer = try base.message()
        let message = try #require(unsafe ExactRequestKeyCache.Message(buffer.bytes))
        base.context.withContext { cache.insert(message, $0, key: key, isRaw: true) }
        #expect(try Self.find(base, in: cache) == key)
        #expect(try Self.find(base, id: "another", in: cache) == key)
        var seen = [key]
        for part in KeyPart.allCases {
            guard let other = Self.changed(part, base) else { continue }
            seen.append(try Self.key(other, &keys))
            #expect(try Self.find(other, in: cache) == nil, "\(part)")
            // A caller's part alone tells them apart: the revision is the same, and so is the message.
            if part.origin == .caller { #expect(other.number == base.number) }
        }
        #expect(Set(seen).count == seen.count)
        #expect(seen.count == KeyPart.allCases.count - 1)
    }

    @Test("A message is found in its context among many")
    func contexts() throws {
        var keys = KeyBuilder(pool: BufferPool(retainedMaximum: 0))
        var cache = ExactRequestKeyCache()
        var base = Parts()
        let buffer = try base.message()
        let message = try #require(unsafe ExactRequestKeyCache.Message(buffer.bytes))
        for number in 1...2 as ClosedRange<UInt32> {
            (base.number, base.revision) = (number, [UInt8(number)])
            let key = try Self.key(base, &keys)
            base.context.withContext { cache.insert(message, $0, key: key, isRaw: true) }
        }
        for number in 1...3 as ClosedRange<UInt32> {
            (base.number, base.revision) = (number, [UInt8(number)])
            let key = try Self.key(base, &keys)
            #expect(try Self.find(base, in: cache) == (number < 3 ? key : nil))
        }
    }

    @Test("What is made across revisions has one key for all of them")
    func acrossRevisions() throws {
        var keys = KeyBuilder(pool: BufferPool(retainedMaximum: 0))
        var found: [CacheKey] = []
        for revision in [1, 2] as [UInt8] {
            var parts = Parts()
            (parts.revision, parts.number) = ([revision], UInt32(revision))
            let message = try parts.message()
            let read = parts.context.withContext { context in
                unsafe keys.read(message.bytes, Self.reader, context.acrossRevisions)
            }
            found.append(try #require(read).key)
        }
        #expect(found[0] == found[1])
    }
}
