package import SluiceCore
import SluiceWire

/// Answers cut into records of one row each, and put together again.
///
/// What was cut is the backend's own answer, and what is put together is the answer the backend would
/// have given: byte for byte, since a record keeps the *text around* the row as well. A JSON answer
/// is its text with holes (rows, first dimensions, binary sizes, `id`); a gRPC answer is a message
/// that our writer must reproduce exactly, or it isn't cut.
///
/// Conditions, each of which ends in a failure and so in an uncached call of the whole request:
/// - every output has as many rows as were asked for (V1: `predictions` has as many entries);
/// - what stands between rows is the same everywhere (a call of one row doesn't know it yet);
/// - the texts around the rows are equal in all records: an answer that counts, times or names its
///   calls can't be put together;
/// - the answer has an `id` exactly if the request had one.
/// Rows of text are as equal as the backend's own writing of the same row is.
package enum RowAnswer {
    /// One record for each row of a backend's answer; `hasID` says whether the request had an `id`.
    ///
    /// Throws when the answer can't be cut; see ``RowAnswer``.
    package static func cut(
        _ body: UnsafeRawBufferPointer,
        headerLength: Int? = nil,
        _ form: CallerWishes.Form,
        rows: Int,
        hasID: Bool = false,
        _ dialect: Dialect,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> [[UInt8]] {
        guard rows > 0 else { throw refused("it has no rows") }
        switch form {
        case .grpc: return try unsafe cutMessage(body, rows, hasID, dialect, &scratch)
        case .v1, .v2:
            var text = try unsafe RowText(body, headerLength, rows, isV1: form == .v1)
            guard form == .v1 || text.hasID == hasID else {
                throw refused("its id isn't the caller's")
            }
            let records = try text.records()
            // Whatever else may be odd about the text: only what makes it again is kept.
            var again = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            let length = try RowAnswer.join(copiesOf: records, id: text.id, to: &again)
            guard unsafe again.bytes.elementsEqual(body), length == headerLength else {
                throw refused("its text can't be made again")
            }
            return records
        }
    }

    /// Appends the answer that `records` make, in order, with the caller's `id`; returns its
    /// `Inference-Header-Content-Length` if it has one.
    ///
    /// Records may come from anywhere: every length in them is checked. On a failure nothing of use is
    /// in `output`.
    package static func join(
        _ records: [UnsafeRawBufferPointer],
        id: String,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        guard let first = unsafe records.first, let kind = unsafe first.first else {
            throw refused("there are no records")
        }
        for index in unsafe records.indices where unsafe records[index].first != kind {
            throw refused("its records are of different kinds")
        }
        switch kind {
        case RecordKind.text: return unsafe try RowText.join(records, id: id, to: &output)
        case RecordKind.raw, RecordKind.typed:
            unsafe try joinMessages(records, id, isRaw: kind == RecordKind.raw, &output, &scratch)
            return nil
        default: throw refused("a record is of an unknown kind")
        }
    }

    /// Joins records that are arrays.
    private static func join(
        copiesOf records: [[UInt8]],
        id: String,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        let all = records.flatMap { $0 }
        let result: Result<Int?, InferenceFailure> = unsafe all.withUnsafeBytes { bytes in
            var slices: [UnsafeRawBufferPointer] = unsafe []
            var place = 0
            for record in records {
                unsafe slices.append(
                    UnsafeRawBufferPointer(rebasing: bytes[place..<(place + record.count)])
                )
                place += record.count
            }
            do throws(InferenceFailure) {
                return .success(unsafe try RowText.join(slices, id: id, to: &output))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    static func refused(_ reason: String) -> InferenceFailure {
        InferenceFailure("the answer can't be handled by rows: \(reason)", .inexpressible)
    }

    // MARK: - gRPC: a record is the answer for its row

    private static func cutMessage(
        _ body: UnsafeRawBufferPointer,
        _ rows: Int,
        _ hasID: Bool,
        _ dialect: Dialect,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> [[UInt8]] {
        let response = try unsafe InferenceResponse(protobuf: body, dialect)
        guard response.id.isEmpty != hasID else { throw refused("its id isn't the caller's") }
        var isRaw = true
        for output in response.outputs {
            guard output.shape.first == rows else {
                throw refused("output '\(output.name)' has shape \(output.shape), not \(rows) rows")
            }
            if case .typed = output.data { isRaw = false }
        }
        let pool = BufferPool(retainedMaximum: 0)
        var again = ByteBuffer(pool: pool)
        try response.writeProtobuf(raw: isRaw, to: &again, scratch: &scratch, dialect)
        guard unsafe again.bytes.elementsEqual(body) else {
            throw refused("the backend writes messages in another order than ours")
        }
        var columns: [[UInt8]] = []
        for output in response.outputs {
            columns.append(unsafe [UInt8](try output.raw(&scratch, dialect)))
        }
        var places = [Int](repeating: 0, count: columns.count)
        var records: [[UInt8]] = []
        for _ in 0..<rows {
            var row = response
            row.id = ""
            for index in row.outputs.indices {
                let bytes = unsafe columns[index].withUnsafeBytes {
                    unsafe [UInt8](response.outputs[index].row(of: $0, &places[index]))
                }
                row.outputs[index].shape[0] = 1
                row.outputs[index].data = .owned(bytes)
            }
            again.removeAll()
            again.append(byte: isRaw ? RecordKind.raw : RecordKind.typed)
            try row.writeProtobuf(raw: isRaw, to: &again, scratch: &scratch, dialect)
            records.append(unsafe [UInt8](again.bytes))
        }
        return records
    }

    private static func joinMessages(
        _ records: [UnsafeRawBufferPointer],
        _ id: String,
        isRaw: Bool,
        _ output: inout ByteBuffer,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) {
        var joined = InferenceResponse()
        var columns: [[UInt8]] = []
        for index in unsafe records.indices {
            let message = unsafe UnsafeRawBufferPointer(rebasing: records[index].dropFirst())
            let row = try unsafe InferenceResponse(protobuf: message)
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
        joined.id = id
        try joined.writeProtobuf(raw: isRaw, to: &output, scratch: &scratch)
    }
}

/// The first byte of a record.
enum RecordKind {
    static var text: UInt8 { 1 }
    static var raw: UInt8 { 2 }
    static var typed: UInt8 { 3 }
}
