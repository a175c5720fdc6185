package import SluiceCore
import SluiceWire

/// A failed answer's sentence: read from whatever a runtime sends, written as callers expect it.
package enum ErrorBody {
    /// The longest sentence taken over from a backend, in bytes.
    package static let sentenceMaximum = 4096

    /// What a REST backend says went wrong.
    ///
    /// Reads `{"error": …}` (V1, V2; text or OpenAI's `{"message": …}`), FastAPI's `{"detail": …}`
    /// (KServe and MLServer, with 422), grpc-gateway's `{"message": …}` (KServe's REST proxy), Triton's
    /// and proxies' plain text. Never empty, whatever came.
    package static func sentence(in body: UnsafeRawBufferPointer, status: Int) -> String {
        let text = unsafe [UInt8](body.prefix(4 * sentenceMaximum))
        if let document = try? JSONParser.parse(text) {
            for member in ["error", "detail", "message"] {
                if let found = document[member].flatMap(sentence), !found.isEmpty {
                    return cut(found)
                }
            }
        }
        let plain = String(decoding: text, as: UTF8.self).filter { !$0.isNewline }
        return plain.isEmpty ? "the backend answered \(status) without a reason" : cut(plain)
    }

    /// Appends `{"error": …}`, the body of V1 and V2 alike.
    package static func write(_ sentence: String, to output: inout ByteBuffer) {
        output.append(JSONValue.object([.init("error", .string(sentence))]).serialized)
    }

    private static func sentence(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text
        case .object:
            value["message"].flatMap(sentence) ?? value["msg"].flatMap { detail($0, value) }
        case .array(let all): all.compactMap(sentence).joined(separator: "; ")
        default: nil
        }
    }

    /// FastAPI's `{"loc": ["body", "inputs", 0], "msg": "…"}`.
    private static func detail(_ message: JSONValue, _ entry: JSONValue) -> String? {
        guard let text = message.text else { return nil }
        let place = (entry["loc"]?.elements ?? []).compactMap {
            $0.text ?? $0.integer.map { "\($0)" }
        }
        return place.isEmpty ? text : "\(place.joined(separator: ".")): \(text)"
    }

    private static func cut(_ sentence: String) -> String {
        sentence.utf8.count <= sentenceMaximum
            ? sentence : String(decoding: sentence.utf8.prefix(sentenceMaximum), as: UTF8.self)
    }
}
