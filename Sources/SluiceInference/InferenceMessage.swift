private import SluiceCore

/// An output the caller asks for.
package struct RequestedOutput: Equatable, Sendable {
    package var name: String
    /// Those that affect the result, such as `classification`.
    package var parameters = Parameters()
    /// Whether REST wants it as binary data; nil leaves that to the request.
    package var isBinary: Bool?

    /// A requested output.
    package init(name: String) { self.name = name }
}

/// A V2 inference request, whichever form it came in; tensor data is borrowed from there.
///
/// How numbers were packed isn't in `parameters` but beside them: `binary_data_size`, `binary_data`
/// and `binary_data_output` belong to one form, and another has no use for them.
package struct InferenceRequest {
    package var modelName = ""
    package var modelVersion = ""
    package var id = ""
    package var parameters = Parameters()
    package var inputs: [Tensor] = []
    /// Empty asks for all.
    package var outputs: [RequestedOutput] = []
    /// Whether REST wants outputs as binary data unless they say otherwise.
    package var prefersBinary = false
    /// Whether a gRPC caller sent no typed contents; it is answered in kind.
    package var isRaw = true
    /// Whether it had members or fields that aren't the protocol's, which get lost here.
    package var hasUnknownMembers = false

    /// An empty request.
    package init() {}

    /// Throws for names that repeat and for data that isn't what its shape promises.
    func check() throws(InferenceFailure) {
        try Tensor.check(inputs, "inputs")
        if let name = Tensor.firstRepeated(outputs.map(\.name)) {
            throw InferenceFailure("output '\(name)' is asked for twice; ask once")
        }
    }
}

/// A V2 inference answer, whichever form it came in; tensor data is borrowed from there.
package struct InferenceResponse {
    package var modelName = ""
    package var modelVersion = ""
    package var id = ""
    package var parameters = Parameters()
    package var outputs: [Tensor] = []
    /// Whether it had members or fields that aren't the protocol's, which get lost here.
    package var hasUnknownMembers = false

    /// An empty answer.
    package init() {}

    /// Whether nothing of what was read gets lost in a ModelInferResponse with raw contents.
    ///
    /// That is so unless there are members which aren't the protocol's, parameters that are lists or
    /// objects, or data that nests: of those only another text would tell.
    package var isWholeInProtobuf: Bool {
        func hasText(_ parameters: Parameters) -> Bool {
            parameters.entries.contains { if case .json = $0.value { true } else { false } }
        }
        return !hasUnknownMembers && !hasText(parameters)
            && !outputs.contains { $0.isNestedText || hasText($0.parameters) }
    }
}

extension Tensor {
    /// Whether its data is JSON that nests.
    fileprivate var isNestedText: Bool {
        guard case .json(let text) = data else { return false }
        var brackets = 0
        for index in 0..<text.count {
            let byte = unsafe text[index]
            if byte <= ASCII.space { continue }
            guard byte == UInt8(ascii: "[") else { return false }
            brackets += 1
            if brackets == 2 { return true }
        }
        return false
    }

    /// Throws for names that repeat and for bytes that don't fit their shape; text is left unread.
    static func check(_ tensors: [Tensor], _ what: StaticString) throws(InferenceFailure) {
        if let name = firstRepeated(tensors.map(\.name)) {
            throw InferenceFailure("\(what) has '\(name)' twice; a name stands for one tensor")
        }
        for tensor in tensors {
            switch tensor.data {
            case .raw(let bytes): try unsafe tensor.check(bytes)
            default: _ = try tensor.elementCount
            }
        }
    }

    /// A name that stands there twice, or nil.
    fileprivate static func firstRepeated(_ names: [String]) -> String? {
        // A set costs more than the few comparisons that nearly all requests need.
        guard names.count > 8 else {
            return names.indices.first { names[..<$0].contains(names[$0]) }.map { names[$0] }
        }
        var seen: Set<String> = []
        return names.first { !seen.insert($0).inserted }
    }
}
