/// Why a message can't be read, or can't be said in another form, in words for its sender.
package struct InferenceFailure: Error, Equatable, Sendable {
    /// What kind of trouble it is; ``StatusTable`` turns it into statuses.
    package enum Kind: Sendable {
        /// The message is wrong: 400, INVALID_ARGUMENT.
        case invalid
        /// The message is right, but can't be said in the other side's form: 400, UNIMPLEMENTED.
        case inexpressible
    }

    package let kind: Kind
    /// What is wrong, naming the tensor or field, and what to do.
    package let sentence: String

    /// The longest sentence in bytes: names and shapes in it come from outside.
    package static let sentenceMaximum = 600

    /// A failure; a sentence that is too long is cut.
    package init(_ sentence: String, _ kind: Kind = .invalid) {
        let isShort = sentence.utf8.count <= InferenceFailure.sentenceMaximum
        self.sentence =
            isShort
            ? sentence
            : String(
                decoding: sentence.utf8.prefix(InferenceFailure.sentenceMaximum),
                as: UTF8.self
            ) + "…"
        self.kind = kind
    }
}
