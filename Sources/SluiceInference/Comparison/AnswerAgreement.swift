/// How far two answers to one request agree, from best to worst.
package enum AnswerAgreement: Int, Sendable, CaseIterable, Comparable {
    /// The tensors' bytes are the same.
    case equal
    /// Every number lies within the tolerance; everything else is the same.
    case close
    /// Numbers lie further apart, but in each row the largest stands at the same place.
    case argmax
    /// They say different things.
    case different
    /// There is nothing to compare: an error, names, datatypes or shapes that differ, an answer
    /// that can't be read or is too large.
    case uncomparable

    /// As metrics say it.
    package var label: String {
        switch self {
        case .equal: "equal"
        case .close: "close"
        case .argmax: "argmax"
        case .different: "different"
        case .uncomparable: "uncomparable"
        }
    }

    package static func < (left: AnswerAgreement, right: AnswerAgreement) -> Bool {
        left.rawValue < right.rawValue
    }
}
