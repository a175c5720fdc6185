import SluiceCore
import SluiceGRPC
import SluiceInference

/// Predictions between the JSON that people type and the messages that gRPC carries.
enum PredictMessage {
    /// A V2 request's JSON as a framed ModelInferRequest.
    static func frame(json: [UInt8], model: String) throws(HTTPClient.Failure) -> [UInt8] {
        unsafe try convert(json) { bytes, output, scratch throws(InferenceFailure) in
            var request = try unsafe InferenceRequest(json: bytes)
            request.modelName = model
            try request.writeProtobuf(to: &output, scratch: &scratch, .generic)
            return unsafe GRPCFrame.frame([UInt8](output.bytes))
        }
    }

    /// A framed ModelInferResponse as a V2 answer's JSON.
    static func json(frame: [UInt8]) throws(HTTPClient.Failure) -> [UInt8] {
        unsafe try convert(Array(frame.dropFirst(5))) {
            bytes,
            output,
            scratch throws(InferenceFailure) in
            let response = try unsafe InferenceResponse(protobuf: bytes)
            let responseFormat = ResponseFormat(.v2, InferenceRequest())
            _ = try response.writeJSON(for: responseFormat, to: &output, scratch: &scratch)
            return unsafe [UInt8](output.bytes)
        }
    }

    private static func convert(
        _ bytes: [UInt8],
        _ body: (
            UnsafeRawBufferPointer, inout ByteBuffer, inout ByteBuffer
        ) throws(InferenceFailure) -> [UInt8]
    ) throws(HTTPClient.Failure) -> [UInt8] {
        let pool = BufferPool()
        var output = ByteBuffer(pool: pool)
        var scratch = ByteBuffer(pool: pool)
        let result: Result<[UInt8], InferenceFailure> = unsafe bytes.withUnsafeBytes { bytes in
            do throws(InferenceFailure) {
                return unsafe .success(try body(bytes, &output, &scratch))
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let bytes): return bytes
        case .failure(let failure): throw HTTPClient.Failure(sentence: failure.sentence)
        }
    }
}
