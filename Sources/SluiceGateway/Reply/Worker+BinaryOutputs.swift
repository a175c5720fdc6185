private import Glibc
import SluiceCore
import SluiceHTTP
import SluiceInference

// A V2 caller may send its tensors as JSON and ask for binary ones (`binary_data_output`, or `binary_data` of an
// output), and a runtime without that extension answers in JSON all the same. The request passes as it came; its
// answer is gathered and written with binary tensors, as a hit of the same request is.
//
// What was asked for stands in the body, which is kept up to `retryBufferBytes` until the answer begins. Of longer
// ones the answer stays JSON, which such clients read as well.
extension Worker {
    /// Sees to it that a good JSON answer gets binary tensors, where its request asks for them.
    @inline(never)
    func gatherForBinaryOutputs(_ request: Request, _ head: FieldBlock) {
        guard (200..<300).contains(head.status), unsafe !request.pointee.isTranslated,
            unsafe request.pointee.hasRequestEnded, unsafe !request.pointee.isCoded,
            unsafe request.existing(Replay.self)?.pointee.headerLength ?? -1 == -1,
            unsafe request.pointee.revision?._withUnsafeGuaranteedRef({ $0.readsOnlyJSON }) == true,
            head.index(of: .inferenceHeaderContentLength) == nil,
            NamedCoding(head, .contentEncoding) != .unknown
        else { return }
        let body = unsafe keptBody(request)
        guard unsafe Worker.mentionsBinary(body),
            let asked = unsafe try? InferenceRequest(json: body, headerLength: nil)
        else { return }
        let format = ResponseFormat(.v2, asked)
        guard format.prefersBinary || format.outputs.contains(where: { $0.isBinary == true }) else {
            return
        }
        if unsafe request.lookup.pointee.cacheable == nil {
            unsafe request.lookup.pointee.cacheable = .passRetained(CacheableRequest(format))
        }
        unsafe request.pointee.attempt.translatedProtocol = .v2
        unsafe request.pointee.isTranslated = true
    }

    /// Passes a V2 backend's JSON answer on to a V2 caller, for whom it can't be written as it was asked for; false
    /// where either speaks something else.
    func replyAsItCame(_ request: Request) -> Bool {
        guard unsafe request.pointee.callerProtocol == .v2,
            unsafe request.pointee.attempt.translatedProtocol == .v2,
            unsafe request.lookup.pointee.headerLength == -1
        else { return false }
        let answer = unsafe RenderedAnswer(
            contentType: "application/json",
            body: Array(request.lookup.pointee.captured.bytes)
        )
        unsafe request.pointee.isCapturing = false
        if unsafe request.pointee.cacheRole == .leads
            || request.pointee.cacheRole == .uncoalesced
        {
            unsafe finishCapture(request)
        }
        unsafe reply(request, answer, cacheStatus: cacheStatus(of: request))
        return true
    }

    /// Whether the text has `binary_data`, which `binary_data_output` begins with.
    ///
    /// Cost: one pass by memchr.
    private static func mentionsBinary(_ body: UnsafeRawBufferPointer) -> Bool {
        let word: StaticString = "binary_data"
        let (before, count) = (6, word.utf8CodeUnitCount)
        var place = before
        while place < body.count {
            // The pointer is into `body`, which lies still meanwhile, and what is compared is within it.
            guard let start = body.baseAddress,
                let found = unsafe memchr(start + place, 0x5F, body.count - place)
            else { return false }
            let offset = unsafe UnsafeRawPointer(found) - start
            if offset - before + count <= body.count,
                unsafe memcmp(start + offset - before, word.utf8Start, count) == 0
            {
                return true
            }
            place = offset + 1
        }
        return false
    }
}
