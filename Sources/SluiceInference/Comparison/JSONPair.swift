import SluiceWire

/// Two JSON values of one shape.
struct JSONPair {
    let tolerance: Double

    /// How far they agree, `depth` arrays deep.
    ///
    /// Nesting is bounded by the parser.
    func agreement(_ left: JSONValue, _ right: JSONValue, depth: Int) -> AnswerAgreement {
        switch (left, right) {
        case (.number, .number): numbers(left, right)
        case (.array(let one), .array(let other)): arrays(one, other, depth: depth + 1)
        case (.object(let one), .object(let other)): objects(one, other, depth: depth)
        case (.string(let one), .string(let other)): one == other ? .equal : .different
        case (.bool(let one), .bool(let other)): one == other ? .equal : .different
        case (.null, .null): .equal
        default: .uncomparable
        }
    }

    private func numbers(_ left: JSONValue, _ right: JSONValue) -> AnswerAgreement {
        guard let one = left.double, let other = right.double else { return .uncomparable }
        // Doubles can't tell whole numbers of 64 bits apart above 2^53.
        guard let exact = left.integer, let wanted = right.integer else {
            if one == other { return .equal }
            return Closeness.holds(one, other, tolerance) ? .close : .different
        }
        if exact == wanted { return .equal }
        let distance = abs(Int128(exact) - Int128(wanted))
        return Double(distance) <= tolerance * max(1, abs(one), abs(other)) ? .close : .different
    }

    private func arrays(
        _ left: [JSONValue],
        _ right: [JSONValue],
        depth: Int
    ) -> AnswerAgreement {
        guard left.count == right.count else { return .uncomparable }
        var worst = AnswerAgreement.equal
        for (one, other) in zip(left, right) {
            worst = max(worst, agreement(one, other, depth: depth))
        }
        guard worst == .different, depth > 1, left.count > 1 else { return worst }
        let (ones, others) = (left.compactMap(\.double), right.compactMap(\.double))
        guard ones.count == left.count, others.count == right.count else { return worst }
        let isSame =
            Closeness.largest(ones.count) { ones[$0] }
            == Closeness.largest(others.count) { others[$0] }
        return isSame ? .argmax : .different
    }

    /// Members are told apart by name; of a name that repeats, the last counts.
    private func objects(
        _ left: [JSONValue.Member],
        _ right: [JSONValue.Member],
        depth: Int
    ) -> AnswerAgreement {
        let (ones, others) = (JSONPair.byName(left), JSONPair.byName(right))
        guard ones.count == others.count else { return .uncomparable }
        var worst = AnswerAgreement.equal
        for (name, value) in ones {
            guard let other = others[name] else { return .uncomparable }
            worst = max(worst, agreement(value, other, depth: depth))
        }
        return worst
    }

    private static func byName(_ members: [JSONValue.Member]) -> [String: JSONValue] {
        Dictionary(members.map { ($0.name, $0.value) }) { $1 }
    }
}
