import SluiceCore
import SluiceHTTP
import SluiceInference
import SluiceTelemetry

// Both answers are copied as they pass, in the form of the caller, and compared when both requests are
// over and the tick has written: no request waits for that.
extension Worker {
    /// The answer of a request that has to do with mirroring begins.
    func mirrorAnswer(_ request: Request, _ head: FieldBlock) {
        let length = unsafe head.first(.inferenceHeaderContentLength).flatMap {
            unsafe ASCII.decimal($0)
        }
        let coding = unsafe NamedCoding(
            head,
            request.pointee.callerProtocol == .grpc ? .grpcEncoding : .contentEncoding
        ).coding
        unsafe capturing(request) { (answer: inout MirroredAnswer) in
            answer.begin(headerLength: length, coding)
        }
    }

    /// A piece of that answer.
    func mirrorAnswer(_ request: Request, _ bytes: UnsafeRawBufferPointer) {
        unsafe capturing(request) { (answer: inout MirroredAnswer) in unsafe answer.append(bytes) }
    }

    /// The whole of that answer, which was translated.
    func mirrorAnswer(_ request: Request, _ rendered: RenderedAnswer) {
        unsafe capturing(request) { (answer: inout MirroredAnswer) in
            answer.begin(headerLength: headerLength(rendered.headerLength), nil)
            unsafe rendered.body.withUnsafeBytes { unsafe answer.append($0) }
        }
    }

    private func capturing(_ request: Request, _ change: (inout MirroredAnswer) -> Void) {
        guard let call = unsafe request.mirror?._withUnsafeGuaranteedRef({ $0 }),
            call.mirror.comparison != nil
        else { return }
        if unsafe request.pointee.isInternal {
            change(&call.shadow)
        } else {
            change(&call.original)
        }
    }

    /// Counts how two answers compare; returns how many bytes were read for that.
    func compare(_ call: MirroredCall) -> Int {
        guard let comparison = call.mirror.comparison else { return 0 }
        var agreement = AnswerAgreement.uncomparable
        var count = 0
        call.original.decode(isMessage: call.form == .grpc, pool: buffers)
        call.shadow.decode(isMessage: call.form == .grpc, pool: buffers)
        if call.original.isWhole, call.shadow.isWhole, let form = call.form,
            let original = Worker.answer(call.original, form),
            let shadow = Worker.answer(call.shadow, form)
        {
            count = call.original.body.count + call.shadow.body.count
            agreement = comparison.agreement(of: original, and: shadow, form, pool: buffers)
        }
        shard.add(call.mirror.metrics.comparisons(agreement))
        return count
    }

    private static func answer(
        _ answer: borrowing MirroredAnswer,
        _ form: ResponseFormat.APIForm
    ) -> AnswerComparison.Answer? {
        let bytes = unsafe answer.body.bytes
        guard form == .grpc else {
            return unsafe AnswerComparison.Answer(bytes, headerLength: answer.headerLength)
        }
        // A flag that says "not compressed", and the message's length.
        guard bytes.count >= 5, unsafe bytes[0] == 0 else { return nil }
        let length = unsafe UInt32(
            bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)
        )
        guard bytes.count - 5 == Int(length) else { return nil }
        return unsafe AnswerComparison.Answer(UnsafeRawBufferPointer(rebasing: bytes[5...]))
    }
}
