/// A value of `parameters` (Open Inference Protocol v2, "Parameters"; InferParameter).
package enum InferenceParameter: Equatable, Sendable {
    case bool(Bool)
    case int64(Int64)
    /// A number beyond Int64; smaller ones are `.int64`, whichever field they came in.
    case uint64(UInt64)
    case double(Double)
    case string(String)
    /// An array or object as written; protobuf carries it as text.
    case json(String)

    /// An unsigned number in the one form that compares equal however it was sent.
    package init(unsigned value: UInt64) {
        self = Int64(exactly: value).map { .int64($0) } ?? .uint64(value)
    }

    /// Equal values are equal bit for bit, so that NaN equals itself.
    package static func == (left: InferenceParameter, right: InferenceParameter) -> Bool {
        switch (left, right) {
        case (.bool(let a), .bool(let b)): a == b
        case (.int64(let a), .int64(let b)): a == b
        case (.uint64(let a), .uint64(let b)): a == b
        case (.double(let a), .double(let b)): a.bitPattern == b.bitPattern
        case (.string(let a), .string(let b)), (.json(let a), .json(let b)): a == b
        default: false
        }
    }
}

/// Named parameters of a request, an answer or a tensor; of a name that repeats, the last counts.
package struct Parameters: Equatable, Sendable {
    /// A name and its value.
    package struct Entry: Equatable, Sendable {
        package let name: String
        package var value: InferenceParameter
    }

    /// How many there may be: looking one up walks them all.
    package static let countMaximum = 256

    /// In the order in which they came.
    package private(set) var entries: [Entry] = []

    /// No parameters.
    package init() {}

    /// Whether there are none.
    package var isEmpty: Bool { entries.isEmpty }

    /// The value of `name`; setting nil removes it.
    package subscript(name: String) -> InferenceParameter? {
        get { entries.first { $0.name == name }?.value }
        set {
            let index = entries.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (let index?, nil): entries.remove(at: index)
            case (nil, let value?): entries.append(Entry(name: name, value: value))
            case (nil, nil): break
            }
        }
    }

    /// Takes one that was read; throws when there are too many.
    mutating func read(_ name: String, _ value: InferenceParameter) throws(InferenceFailure) {
        self[name] = value
        guard entries.count <= Parameters.countMaximum else {
            throw InferenceFailure("more than \(Parameters.countMaximum) parameters; send fewer")
        }
    }

    /// Removes `name` and returns its value if it was a bool.
    mutating func takeFlag(_ name: String) -> Bool? {
        guard let value = self[name] else { return nil }
        self[name] = nil
        guard case .bool(let flag) = value else { return nil }
        return flag
    }
}
