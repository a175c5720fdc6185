package import SluiceCore
import SluiceWire

// V1 and V2 say the same where a signature names the tensors; where it doesn't, nobody guesses.

extension InferenceRequest {
    /// The V2 meaning of a V1 request to a model with this signature.
    ///
    /// `runtimeKind` is the backend's: where its `null` is NaN, a caller's is too.
    ///
    /// Throws when the request names another signature, carries members that V2 has no place for, or
    /// leaves open which tensor is meant.
    package init(
        _ request: V1Request,
        _ signature: ModelSignature,
        _ runtimeKind: RuntimeKind = .generic,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) {
        self.init()
        guard request.signatureName == "serving_default" || request.signatureName.isEmpty else {
            throw InferenceFailure(
                "signature '\(request.signatureName)' can't be asked for: the backend speaks V2, which has one signature for each model",
                .inexpressible
            )
        }
        let known = ["instances", "inputs", "signature_name"]
        for member in request.members where !known.contains(member.name) {
            throw InferenceFailure(
                "'\(member.name)' can't be carried to a V2 backend; leave it out or give the model a V1 backend",
                .inexpressible
            )
        }
        let what = request.isInstances ? "'instances'" : "'inputs'"
        inputs = try unsafe V1Tensors.read(
            request.data,
            signature.inputs,
            what: what,
            nullIsNaN: runtimeKind.nullIsNaN,
            &scratch
        )
    }

    /// Appends the request as V1: by columns for TensorFlow Serving, by rows for everybody else.
    ///
    /// Throws for parameters that could change the answer and for inputs that aren't rows: V1 can't say
    /// them. Requested outputs are chosen when the answer comes.
    package func writeV1(
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind
    ) throws(InferenceFailure) {
        let all = [parameters] + inputs.map(\.parameters) + outputs.map(\.parameters)
        for entry in all.flatMap(\.entries)
        where Cacheability.affectsResult(entry.name) && entry.name != "content_type" {
            throw InferenceFailure(
                "parameter '\(entry.name)' can't be carried to a V1 backend; leave it out or give the model a V2 backend",
                .inexpressible
            )
        }
        switch Cacheability(self) {
        case .cacheable, .bypass(.unknownMember): break
        default:
            throw InferenceFailure(
                "sequences and shared memory can't be carried to a V1 backend",
                .inexpressible
            )
        }
        guard !inputs.isEmpty else { throw InferenceFailure("V1 needs at least one input") }
        for input in inputs where !runtimeKind.readsNaNTokens {
            let raw = try unsafe input.raw(&scratch, runtimeKind)
            guard unsafe input.isFinite(raw) else {
                throw InferenceFailure(
                    "tensor '\(input.name)' has NaN or infinity, which the JSON of a \(runtimeKind.rawValue) backend can't carry",
                    .inexpressible
                )
            }
        }
        if runtimeKind.readsV1Columns {
            output.append("{\"inputs\":")
            try V1Tensors.writeColumns(inputs, isNamed: true, to: &output, &scratch, runtimeKind)
        } else {
            output.append("{\"instances\":")
            try V1Tensors.writeRows(inputs, count: nil, to: &output, &scratch, runtimeKind)
        }
        output.append(byte: UInt8(ascii: "}"))
    }
}

extension InferenceResponse {
    /// The V2 meaning of a V1 answer from a model with this signature: `predictions` or `outputs`.
    ///
    /// Outputs that weren't asked for are dropped. Throws when the answer doesn't say which tensor is
    /// meant.
    package init(
        v1 body: UnsafeRawBufferPointer,
        _ signature: ModelSignature,
        _ responseFormat: ResponseFormat,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) {
        self.init()
        modelName = responseFormat.modelName
        var data = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var cursor = unsafe JSONCursor(body)
        do throws(JSONFailure) {
            try cursor.enterObject()
            while let name = try cursor.nextMember() {
                let value = unsafe try cursor.skip()
                if name.equals("predictions") || name.equals("outputs") {
                    unsafe data = unsafe value
                }
            }
            try cursor.finish()
        } catch {
            throw InferenceFailure(
                "the backend's answer: \(error.sentence) at byte \(error.offset)"
            )
        }
        guard unsafe data.baseAddress != nil else {
            throw InferenceFailure("the backend's answer has neither 'predictions' nor 'outputs'")
        }
        outputs = try unsafe V1Tensors.read(
            data,
            signature.outputs,
            what: "the backend's answer",
            nullIsNaN: false,
            &scratch
        )
        guard !responseFormat.outputs.isEmpty else { return }
        var chosen: [Tensor] = []
        for wanted in responseFormat.outputs {
            guard let output = outputs.first(where: { $0.name == wanted.name }) else {
                throw InferenceFailure("the model has no output '\(wanted.name)'")
            }
            chosen.append(output)
        }
        outputs = chosen
    }

    /// Appends the answer as V1: `predictions` by row for `instances`, `outputs` by column for `inputs`.
    ///
    /// Throws for outputs that aren't one row for each instance.
    package func writeV1(
        for responseFormat: ResponseFormat,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind = .generic
    ) throws(InferenceFailure) {
        switch responseFormat.layout {
        case .rows(let count):
            output.append("{\"predictions\":")
            try V1Tensors.writeRows(outputs, count: count, to: &output, &scratch, runtimeKind)
        case .columns:
            output.append("{\"outputs\":")
            let isNamed = outputs.count != 1
            try V1Tensors.writeColumns(
                outputs,
                isNamed: isNamed,
                to: &output,
                &scratch,
                runtimeKind
            )
        }
        output.append(byte: UInt8(ascii: "}"))
    }
}
