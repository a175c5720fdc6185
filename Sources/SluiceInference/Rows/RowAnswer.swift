package import SluiceCore
import SluiceWire

/// Answers cut into records of one row each, and put together again.
///
/// A record keeps the row in the form of the answer it came from. A JSON answer is its text with
/// holes (rows, first dimensions, binary sizes, `id`), so that records of one backend and one kind of
/// caller make the text it would have written, byte for byte; a gRPC answer is the message for its
/// row, with raw contents and without an `id`. Where records came from callers of several kinds,
/// rows become tensors and the answer is written anew: equal in meaning, since numbers in JSON have
/// many spellings and only their writer knows its own.
///
/// Conditions, each of which ends in a failure and so in a call for the whole request:
/// - every output has as many rows as were asked for (V1: `predictions` has as many entries);
/// - in JSON, what stands between rows is the same everywhere (a call of one row doesn't know it yet);
/// - what stands around the rows is equal in all records: an answer that counts, times or names its
///   calls can't be put together;
/// - nothing of a gRPC answer is unknown to us.
/// Rows of text are as equal as the backend's own writing of the same row is.
package enum RowAnswer {
    /// The first byte of a record that is JSON; others are 2 and a ModelInferResponse.
    package static var textKind: UInt8 { RowRecord.text }

    /// One record for each row of a backend's answer to a caller of this response format.
    ///
    /// Throws when the answer can't be cut; see ``RowAnswer``.
    package static func cut(
        _ body: UnsafeRawBufferPointer,
        headerLength: Int? = nil,
        rows: Int,
        for responseFormat: ResponseFormat,
        _ runtimeKind: RuntimeKind,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> [[UInt8]] {
        guard rows > 0 else { throw refused("it has no rows") }
        switch responseFormat.form {
        case .grpc: return try unsafe cutMessage(body, rows, responseFormat, runtimeKind, &scratch)
        case .v1, .v2:
            let whose: RowText.Whose = responseFormat.form == .v1 ? .predictions : .outputs
            let text = try unsafe RowText(body, headerLength, rows, whose)
            guard text.id.isEmpty || responseFormat.id.isEmpty || text.id == responseFormat.id
            else {
                throw refused("its id isn't the caller's")
            }
            let records = try text.records(style: RowStyle(responseFormat).number)
            // Whatever else may be odd about the text: only what makes it again is kept.
            var again = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            let length = unsafe try RowAnswer.withSlices(of: records) {
                (slices) throws(InferenceFailure) in
                unsafe try RowText.join(slices, id: text.id, RowSeparators(), to: &again)
            }
            guard unsafe again.bytes.elementsEqual(body), length == headerLength else {
                throw refused("its text can't be made again")
            }
            return records
        }
    }

    /// Appends the answer that `records` make, in order, in this response format; returns its
    /// `Inference-Header-Content-Length` if it has one.
    ///
    /// Records may come from anywhere: every length in them is checked. On a failure nothing of use is
    /// in `output`.
    package static func join(
        _ records: [UnsafeRawBufferPointer],
        for responseFormat: ResponseFormat,
        _ separators: RowSeparators = RowSeparators(),
        _ runtimeKind: RuntimeKind,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        guard unsafe !records.isEmpty else { throw refused("there are no records") }
        if responseFormat.form != .grpc, unsafe areText(records, in: RowStyle(responseFormat)) {
            let start = output.count
            do throws(InferenceFailure) {
                return unsafe try RowText.join(
                    records,
                    id: responseFormat.id,
                    separators,
                    to: &output
                )
            } catch {
                // Only the model knows what tensors a V1 answer is.
                if responseFormat.form == .v1 { throw error }
                output.truncate(output.count - start)
            }
        }
        var response = try unsafe tensors(records, &scratch)
        response.id = responseFormat.id
        switch responseFormat.form {
        case .v2:
            return try response.writeJSON(
                for: responseFormat,
                to: &output,
                scratch: &scratch,
                runtimeKind
            )
        case .v1:
            try response.writeV1(for: responseFormat, to: &output, scratch: &scratch, runtimeKind)
        case .grpc:
            try response.writeProtobuf(
                raw: responseFormat.isRaw,
                to: &output,
                scratch: &scratch,
                runtimeKind
            )
        }
        return nil
    }

    /// Whether a record says what stands between its row and the next in the same answer.
    ///
    /// One that doesn't can only be joined in the backend's own words together with one that does.
    package static func knowsSeparators(
        _ record: UnsafeRawBufferPointer,
        _ separators: RowSeparators
    ) -> Bool {
        guard let record = try? unsafe RowRecord(record) else { return false }
        return unsafe separators.find(around: record.template) != nil
            || record.separators.allSatisfy { unsafe $0 != nil }
    }

    private static func areText(_ records: [UnsafeRawBufferPointer], in style: RowStyle) -> Bool {
        unsafe records.indices.allSatisfy {
            unsafe RowRecord.style(of: records[$0]) == style.number
        }
    }

    /// What `body` makes of slices of records that are arrays.
    static func withSlices<Result>(
        of records: [[UInt8]],
        _ body: ([UnsafeRawBufferPointer]) throws(InferenceFailure) -> Result
    ) throws(InferenceFailure) -> Result {
        let all = records.flatMap { $0 }
        let result: Swift.Result<Result, InferenceFailure> = unsafe all.withUnsafeBytes { bytes in
            var slices: [UnsafeRawBufferPointer] = unsafe []
            var place = 0
            for record in records {
                unsafe slices.append(
                    UnsafeRawBufferPointer(rebasing: bytes[place..<(place + record.count)])
                )
                place += record.count
            }
            do throws(InferenceFailure) {
                return .success(unsafe try body(slices))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Whether `shared` bytes may be repeated for each row of a text of `count` bytes.
    ///
    /// Up to 4 KiB they always may; above, only while all of it together is of the text's order. So what
    /// is done and kept for rows is linear in what came.
    static func isWorthRepeating(_ shared: Int, rows: Int, of count: Int) -> Bool {
        shared <= 4096 || shared <= 4 * count / max(rows, 1)
    }

    static func refused(_ reason: String) -> InferenceFailure {
        InferenceFailure("the answer can't be handled by rows: \(reason)", .inexpressible)
    }

    // MARK: - gRPC: a record is the answer for its row

    private static func cutMessage(
        _ body: UnsafeRawBufferPointer,
        _ rows: Int,
        _ responseFormat: ResponseFormat,
        _ runtimeKind: RuntimeKind,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> [[UInt8]] {
        var response = try unsafe InferenceResponse(protobuf: body, runtimeKind)
        guard response.id.isEmpty || responseFormat.id.isEmpty || response.id == responseFormat.id
        else {
            throw refused("its id isn't the caller's")
        }
        var isRaw = true
        for output in response.outputs {
            guard output.shape.first == rows else {
                throw refused("output '\(output.name)' has shape \(output.shape), not \(rows) rows")
            }
            if case .typed = output.data { isRaw = false }
        }
        guard !response.outputs.isEmpty else { throw refused("it has no outputs") }
        let pool = BufferPool(retainedMaximum: 0)
        var again = ByteBuffer(pool: pool)
        try response.writeProtobuf(raw: isRaw, to: &again, scratch: &scratch, runtimeKind)
        // Fields may come in any order, but a field we don't know must not get lost.
        guard again.count == body.count else { throw refused("it has fields that aren't known") }
        response.id = ""
        var columns: [[UInt8]] = []
        for output in response.outputs {
            columns.append(unsafe [UInt8](try output.raw(&scratch, runtimeKind)))
        }
        var places = [Int](repeating: 0, count: columns.count)
        var records: [[UInt8]] = []
        for _ in 0..<rows {
            var row = response
            for index in row.outputs.indices {
                let bytes = unsafe columns[index].withUnsafeBytes {
                    unsafe [UInt8](response.outputs[index].row(of: $0, &places[index]))
                }
                row.outputs[index].shape[0] = 1
                row.outputs[index].data = .owned(bytes)
            }
            again.removeAll()
            again.append(byte: RowRecord.message)
            try row.writeProtobuf(raw: true, to: &again, scratch: &scratch, runtimeKind)
            guard isWorthRepeating(again.count, rows: rows, of: body.count) else {
                throw refused("there is too much around its rows to keep it with each")
            }
            records.append(unsafe [UInt8](again.bytes))
        }
        return records
    }

    // MARK: - Any form: rows become tensors

    /// The answer whose rows are in `records`, whatever form each came in; it owns its bytes.
    private static func tensors(
        _ records: [UnsafeRawBufferPointer],
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> InferenceResponse {
        var joined = InferenceResponse()
        var columns: [[UInt8]] = []
        var text = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        for index in unsafe records.indices {
            let record = unsafe records[index]
            let row: InferenceResponse
            if unsafe record.first == RowRecord.message {
                let message = unsafe UnsafeRawBufferPointer(rebasing: record.dropFirst())
                row = try unsafe InferenceResponse(protobuf: message)
            } else {
                text.removeAll()
                // The id is nobody's: where the text has a place for one, any will do.
                let length = unsafe try RowText.join([record], id: "-", RowSeparators(), to: &text)
                row = try unsafe InferenceResponse(json: text.bytes, headerLength: length)
            }
            if index == 0 {
                joined = row
                columns = Array(repeating: [], count: row.outputs.count)
            }
            guard row.modelName == joined.modelName, row.modelVersion == joined.modelVersion,
                row.parameters == joined.parameters, row.outputs.count == joined.outputs.count
            else { throw refused("its rows are of different answers") }
            for (number, tensor) in row.outputs.enumerated() {
                let first = joined.outputs[number]
                guard tensor.name == first.name, tensor.datatype == first.datatype,
                    tensor.shape == first.shape, tensor.shape.first == 1,
                    tensor.parameters == first.parameters
                else { throw refused("rows of output '\(tensor.name)' differ in shape") }
                unsafe columns[number].append(contentsOf: try tensor.raw(&scratch, .generic))
            }
        }
        for index in joined.outputs.indices {
            joined.outputs[index].shape[0] = unsafe records.count
            joined.outputs[index].data = .owned(columns[index])
        }
        return joined
    }
}

/// What of a caller's response format shows in the text of its answer, beside what is in the key.
///
/// The same in every process: records of one style may lie in Redis.
struct RowStyle {
    let number: UInt32

    init(_ responseFormat: ResponseFormat) {
        // FNV-1a (Fowler, Noll, Vo), 32 bits.
        var state: UInt32 = 0x811C_9DC5
        func mix(_ byte: UInt8) { state = (state ^ UInt32(byte)) &* 0x0100_0193 }
        mix(responseFormat.form == .v1 ? 1 : 2)
        mix(responseFormat.id.isEmpty ? 0 : 1)
        mix(responseFormat.prefersBinary ? 1 : 0)
        for output in responseFormat.outputs { mix(output.isBinary.map { $0 ? 3 : 2 } ?? 0) }
        number = state
    }
}
