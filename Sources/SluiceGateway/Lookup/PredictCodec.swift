import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceInference

/// An answer in a caller's form.
struct RenderedAnswer {
    var contentType: StaticString
    var body: [UInt8]
    /// `inference-header-content-length`, or -1.
    var headerLength = -1
}

/// What an answer in the cache must become for one caller; kept while its call is under way.
final class CacheableRequest {
    /// What is translated may set them anew: only the signature tells how V1 is laid out.
    var responseFormat: ResponseFormat
    /// Absent unless the request is looked up row by row.
    let rows: RowBatch?

    init(_ responseFormat: ResponseFormat, rows: RowBatch? = nil) {
        self.responseFormat = responseFormat
        self.rows = rows
    }

    /// Takes over how a V1 request is laid out, of which only some rows may have gone out.
    func learnLayout(from translated: ResponseFormat) {
        responseFormat = translated
        if let rows, case .rows = translated.layout {
            responseFormat.layout = .rows(count: rows.count)
        }
    }
}

/// Answers to what is kept, and back: the cache's side of the tensor codec, with its ``KeyBuilder``.
///
/// A V2 answer is kept as a ModelInferResponse with raw contents and without its `id`, from which
/// each form is made; a V1 answer as its text, since only the model knows what it means. The first
/// byte says which.
struct PredictCodec: ~Copyable {
    private enum Kept {
        static let v1: UInt8 = 1
        static let v2: UInt8 = 2
    }

    /// The first byte of a V2 answer as it is kept.
    static var rawForm: UInt8 { Kept.v2 }

    static let prefixLength = 5
    /// What ``reply`` may keep between replies.
    static let keptBytes = 64 << 10

    /// Requests to keys.
    var keys: KeyBuilder
    var scratch: ByteBuffer
    /// Where replies are put together; its memory stays for the next.
    var reply: ByteBuffer
    let pool: BufferPool

    init(pool: BufferPool) {
        self.pool = pool
        keys = KeyBuilder(pool: pool)
        scratch = ByteBuffer(pool: pool)
        reply = ByteBuffer(pool: pool)
    }

    static func message(_ body: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: body.dropFirst(prefixLength))
    }

    // MARK: - Answers

    /// What to keep of a whole answer; nil when it isn't one that can be told in other forms.
    ///
    /// That is also one of which something would be missing when it is told again: members that aren't
    /// the protocol's, data that nests. `meaning` says how a V1 backend's answer to a caller of V2 is read.
    mutating func keep(
        _ body: UnsafeRawBufferPointer,
        _ form: ResponseFormat.APIForm,
        headerLength: Int?,
        _ runtimeKind: RuntimeKind,
        meaning: AnswerOrder? = nil
    ) -> [UInt8]? {
        if form == .v1, meaning == nil { return unsafe [Kept.v1] + [UInt8](body) }
        do throws(InferenceFailure) {
            var response: InferenceResponse
            if let meaning {
                response = unsafe try meaning.transcoder.readAnswer(
                    body,
                    for: meaning.responseFormat,
                    scratch: &scratch
                )
            } else {
                response =
                    form == .v2
                    ? unsafe try InferenceResponse(json: body, headerLength: headerLength)
                    : unsafe try InferenceResponse(
                        protobuf: PredictCodec.message(body),
                        runtimeKind
                    )
            }
            guard response.isWholeInProtobuf else { return nil }
            response.id = ""
            var output = ByteBuffer(pool: pool)
            output.append(byte: Kept.v2)
            try response.writeProtobuf(raw: true, to: &output, scratch: &scratch, runtimeKind)
            return unsafe [UInt8](output.bytes)
        } catch {
            return nil
        }
    }

    /// A kept answer in a caller's form; nil when that form can't express it.
    ///
    /// `runtimeKind` is that of the backend which gave it.
    mutating func render(
        _ kept: UnsafeRawBufferPointer,
        for responseFormat: ResponseFormat,
        _ runtimeKind: RuntimeKind
    ) -> RenderedAnswer? {
        if unsafe kept.first == RowAnswer.textKind {
            return unsafe join([kept], for: responseFormat, RowSeparators(), runtimeKind)
        }
        guard let kind = unsafe kept.first, kind != Kept.v1 || responseFormat.form == .v1 else {
            return nil
        }
        let content = unsafe UnsafeRawBufferPointer(rebasing: kept[1...])
        if kind == Kept.v1 {
            return unsafe RenderedAnswer(contentType: "application/json", body: [UInt8](content))
        }
        do throws(InferenceFailure) {
            var response = unsafe try InferenceResponse(protobuf: content)
            response.id = responseFormat.id
            var output = ByteBuffer(pool: pool)
            if responseFormat.form == .v1 {
                try response.writeV1(
                    for: responseFormat,
                    to: &output,
                    scratch: &scratch,
                    runtimeKind
                )
                return unsafe RenderedAnswer(
                    contentType: "application/json",
                    body: [UInt8](output.bytes)
                )
            }
            if responseFormat.form == .v2 {
                let length = try response.writeJSON(
                    for: responseFormat,
                    to: &output,
                    scratch: &scratch,
                    runtimeKind
                )
                return unsafe RenderedAnswer(
                    contentType: length == nil ? "application/json" : "application/octet-stream",
                    body: [UInt8](output.bytes),
                    headerLength: length ?? -1
                )
            }
            PredictCodec.beginFrame(&output)
            try response.writeProtobuf(raw: responseFormat.isRaw, to: &output, scratch: &scratch)
            PredictCodec.endFrame(&output)
            return unsafe RenderedAnswer(
                contentType: "application/grpc",
                body: [UInt8](output.bytes)
            )
        } catch {
            return nil
        }
    }

    // MARK: - Frames

    /// Appends what comes before a message of `count` bytes that is kept: flag, length, and its caller's
    /// `id`.
    ///
    /// Protobuf's fields may come in any order.
    static func appendOpening(
        of count: Int,
        id: UnsafeRawBufferPointer,
        to output: inout ByteBuffer
    ) {
        // Flag, length, and an id's tag and length of at most ten bytes.
        let start = unsafe output.reserve(prefixLength + 11 + id.count)
        var place = unsafe start + prefixLength
        if let from = id.baseAddress, id.count > 0 {
            unsafe place.pointee = 3 << 3 | 2
            unsafe place += 1
            var rest = id.count
            while rest >= 0x80 {
                unsafe place.pointee = UInt8(rest & 0x7F) | 0x80
                unsafe place += 1
                rest >>= 7
            }
            unsafe place.pointee = UInt8(rest)
            unsafe place += 1
            unsafe ShortBytes.copy(from, to: place, count: id.count)
            unsafe place += id.count
        }
        let length = unsafe UInt32(place - start - prefixLength + count)
        unsafe start.pointee = 0
        unsafe UnsafeMutableRawPointer(start + 1)
            .storeBytes(of: length.bigEndian, as: UInt32.self)
        unsafe output.commit(place - start)
    }

    /// Makes room for a message's flag and length, which ``endFrame(_:)`` fills in.
    static func beginFrame(_ output: inout ByteBuffer) {
        unsafe UnsafeMutableRawPointer(output.reserve(prefixLength))
            .initializeMemory(as: UInt8.self, repeating: 0, count: prefixLength)
        output.commit(prefixLength)
    }

    static func endFrame(_ output: inout ByteBuffer) {
        let length = UInt32(output.count - prefixLength)
        unsafe UnsafeMutableRawPointer(output.place(at: 1))
            .storeBytes(of: length.bigEndian, as: UInt32.self)
    }
}
