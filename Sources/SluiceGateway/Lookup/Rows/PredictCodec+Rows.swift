import SluiceCache
import SluiceCore
import SluiceInference

/// A request as its rows' keys.
struct RowRequest {
    /// The whole request's.
    let key: CacheKey
    let responseFormat: ResponseFormat
    /// Each row's: that of the request which has this row alone.
    let rows: [CacheKey]
}

// The cache's side of requests and answers that are cut into rows. Everything here is in the caller's
// form; where the backend speaks another, translation stands between.
extension PredictCodec {
    /// The request for some rows of a request of `count`: the caller's own, but for the others.
    ///
    /// `rows` ascend. Nil when that can't be written.
    mutating func writeRows(
        _ rows: [Int],
        of body: UnsafeRawBufferPointer,
        _ form: ResponseFormat.APIForm,
        headerLength: Int?,
        count: Int
    ) -> (body: [UInt8], headerLength: Int?)? {
        var output = ByteBuffer(pool: pool)
        var length: Int?
        do throws(InferenceFailure) {
            switch form {
            case .v1: unsafe try TensorRows(try V1Request(body)).writeV1(rows, to: &output)
            case .v2:
                let written = unsafe try TensorRows.writeV2(
                    rows,
                    of: body,
                    headerLength: headerLength,
                    count: count,
                    to: &output
                )
                if headerLength != nil { length = written }
            case .grpc:
                let request = unsafe try InferenceRequest(
                    protobuf: PredictCodec.plainMessage(body)
                )
                PredictCodec.beginFrame(&output)
                try TensorRows(request, .generic, scratch: &scratch).request(rows)
                    .writeProtobuf(to: &output, scratch: &scratch, .generic)
                PredictCodec.endFrame(&output)
            }
        } catch {
            return nil
        }
        return unsafe ([UInt8](output.bytes), length)
    }

    /// How an answer to some rows is cut.
    struct CutOrder: Sendable {
        var answer: AnswerOrder
        /// Whether it must be turned into another form first.
        var isTranslated: Bool
        var rows: Int
    }

    /// What to keep for each row of an answer; nil when it can't be cut, a failure when it can't be read.
    mutating func cutRows(
        _ body: UnsafeRawBufferPointer,
        _ order: CutOrder
    ) -> Result<[[UInt8]]?, InferenceFailure> {
        let responseFormat = order.answer.responseFormat
        guard order.isTranslated else {
            return unsafe .success(
                cutRows(
                    body,
                    headerLength: order.answer.headerLength,
                    rows: order.rows,
                    for: responseFormat,
                    order.answer.runtimeKind
                )
            )
        }
        return unsafe answer(body, order.answer).map { made in
            unsafe made.body.withUnsafeBytes {
                unsafe cutRows(
                    $0,
                    headerLength: made.headerLength < 0 ? nil : made.headerLength,
                    rows: order.rows,
                    for: responseFormat,
                    .generic
                )
            }
        }
    }

    /// What to keep for each row of an answer to `rows` rows; nil when it can't be cut.
    mutating func cutRows(
        _ body: UnsafeRawBufferPointer,
        headerLength: Int?,
        rows: Int,
        for responseFormat: ResponseFormat,
        _ runtimeKind: RuntimeKind
    ) -> [[UInt8]]? {
        unsafe try? RowAnswer.cut(
            responseFormat.form == .grpc ? try PredictCodec.plainMessage(body) : body,
            headerLength: headerLength,
            rows: rows,
            for: responseFormat,
            runtimeKind,
            scratch: &scratch
        )
    }

    /// The answer that rows make, as its caller wants it; nil when they don't make one.
    mutating func joinRows(
        _ entries: [CacheEntry],
        for responseFormat: ResponseFormat,
        _ separators: RowSeparators,
        _ runtimeKind: RuntimeKind
    ) -> RenderedAnswer? {
        var records: [UnsafeRawBufferPointer] = unsafe []
        unsafe records.reserveCapacity(entries.count)
        // The entries outlive the call.
        for entry in entries { unsafe records.append(entry.answer) }
        return unsafe join(records, for: responseFormat, separators, runtimeKind)
    }

    /// See ``joinRows(_:for:_:_:)``; the bytes may come from anywhere.
    mutating func join(
        _ records: [UnsafeRawBufferPointer],
        for responseFormat: ResponseFormat,
        _ separators: RowSeparators,
        _ runtimeKind: RuntimeKind
    ) -> RenderedAnswer? {
        var responseFormat = responseFormat
        // Triton answers raw, however it is asked.
        responseFormat.isRaw = responseFormat.isRaw || runtimeKind == .triton
        var output = ByteBuffer(pool: pool)
        if responseFormat.form == .grpc { PredictCodec.beginFrame(&output) }
        do throws(InferenceFailure) {
            let length = unsafe try RowAnswer.join(
                records,
                for: responseFormat,
                separators,
                runtimeKind,
                to: &output,
                scratch: &scratch
            )
            if responseFormat.form == .grpc { PredictCodec.endFrame(&output) }
            return unsafe RenderedAnswer(
                contentType: PredictCodec.contentType(responseFormat.form, headerLength: length),
                body: [UInt8](output.bytes),
                headerLength: length ?? -1
            )
        } catch {
            return nil
        }
    }

    private static func contentType(
        _ form: ResponseFormat.APIForm,
        headerLength: Int?
    ) -> StaticString {
        if form == .grpc { return "application/grpc" }
        return headerLength == nil ? "application/json" : "application/octet-stream"
    }

    /// The message in a gRPC body that is exactly one, not compressed.
    static func plainMessage(
        _ body: UnsafeRawBufferPointer
    ) throws(InferenceFailure) -> UnsafeRawBufferPointer {
        guard body.count >= prefixLength, unsafe body[0] == 0,
            unsafe UInt32(bigEndian: body.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
                == body.count - prefixLength
        else { throw InferenceFailure("the message is compressed, or not one") }
        return unsafe message(body)
    }
}

/// Why a request has no rows' keys.
enum RowFailure: Error {
    case request, limit

    var fallback: RowFallback { self == .request ? .request : .limit }
}
