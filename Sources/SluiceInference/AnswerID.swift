package import SluiceCore
import SluiceWire

/// Puts a caller's own `id` into an answer that was made for another, and leaves every other byte alone.
package enum AnswerID {
    /// Appends `answer` with `id` in place of its own, or without one if `id` is empty.
    ///
    /// Returns what `Inference-Header-Content-Length` becomes. V1 answers have no `id` and are appended
    /// as they are. No tensor is read.
    package static func replace(
        in answer: UnsafeRawBufferPointer,
        headerLength: Int? = nil,
        _ form: ResponseFormat.APIForm,
        with id: String,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        switch form {
        case .v1: unsafe output.append(answer)
        case .grpc: try unsafe replaceField(in: answer, with: id, to: &output)
        case .v2:
            let length = headerLength ?? answer.count
            guard length >= 0, length <= answer.count else {
                throw InferenceFailure(
                    "Inference-Header-Content-Length is \(length), but the body has \(answer.count) bytes"
                )
            }
            let start = output.count
            let json = unsafe UnsafeRawBufferPointer(rebasing: answer[..<length])
            try unsafe replaceMember(in: json, with: id, to: &output)
            let written = output.count - start
            unsafe output.append(UnsafeRawBufferPointer(rebasing: answer[length...]))
            return headerLength == nil ? nil : written
        }
        return nil
    }

    private static func replaceMember(
        in json: UnsafeRawBufferPointer,
        with id: String,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) {
        var cursor = unsafe JSONCursor(json)
        // Where the object's inside begins, and the member with what separates it from the one before.
        var inside = 0
        var found: (member: Range<Int>, value: Range<Int>)?
        var isEmpty = true
        do throws(JSONFailure) {
            try cursor.enterObject()
            inside = cursor.offset
            var end = inside
            while let name = try cursor.nextMember() {
                let value = unsafe try cursor.skim()
                if name.equals("id") {
                    guard found == nil else { throw cursor.failure("'id' stands there twice") }
                    found = (
                        end..<cursor.offset, (cursor.offset - value.count)..<cursor.offset
                    )
                }
                end = cursor.offset
                isEmpty = false
            }
            try cursor.finish()
        } catch {
            throw InferenceFailure(error)
        }
        func copy(_ range: Range<Int>) {
            unsafe output.append(UnsafeRawBufferPointer(rebasing: json[range]))
        }
        switch (found, id.isEmpty) {
        case (let found?, false):
            copy(0..<found.value.lowerBound)
            JSONStringText.append(id, to: &output)
            copy(found.value.upperBound..<json.count)
        case (let found?, true):
            copy(0..<found.member.lowerBound)
            var rest = found.member.upperBound
            if found.member.lowerBound == inside {
                // The first member leaves with the comma behind it, others with the one before.
                while rest < json.count, unsafe json[rest] <= ASCII.space { rest += 1 }
                if rest < json.count, unsafe json[rest] == ASCII.comma { rest += 1 }
            }
            copy(rest..<json.count)
        case (nil, false):
            copy(0..<inside)
            output.append("\"id\":")
            JSONStringText.append(id, to: &output)
            if !isEmpty { output.append(byte: ASCII.comma) }
            copy(inside..<json.count)
        case (nil, true): copy(0..<json.count)
        }
    }

    /// A ModelInferResponse's field 3, in its place among the others.
    private static func replaceField(
        in message: UnsafeRawBufferPointer,
        with id: String,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) {
        var isWritten = id.isEmpty
        var reader = unsafe WireReader(message)
        while let field = try reader.next() {
            if !isWritten, field.number >= 3 {
                output.append(field: 3, text: id)
                isWritten = true
            }
            guard field.number != 3 else { continue }
            switch field.value {
            case .bytes(let bytes): unsafe output.append(field: field.number, bytes: bytes)
            case .varint(let number): output.append(field: field.number, varint: number)
            case .fixed32(let bits):
                output.append(varint: UInt64(field.number) << 3 | 5)
                output.append(littleEndian: bits)
            case .fixed64(let bits):
                output.append(varint: UInt64(field.number) << 3 | 1)
                output.append(littleEndian: bits)
            }
        }
        if !isWritten { output.append(field: 3, text: id) }
    }
}
