/// What a request's head must have for a route to hold.
package struct FieldMatch: Sendable, Equatable {
    /// What is asked of the value.
    package enum Test: Sendable, Equatable {
        /// Any value will do, an empty one too.
        case present
        case equals([UInt8])
        case prefix([UInt8])

        /// Whether `value` passes, byte for byte.
        package func accepts(_ value: UnsafeRawBufferPointer) -> Bool {
            switch self {
            case .present: return true
            case .equals(let wanted):
                return unsafe value.count == wanted.count && Test.begins(value, with: wanted)
            case .prefix(let wanted): return unsafe Test.begins(value, with: wanted)
            }
        }

        /// Whether every value that passes `other` passes this test as well.
        package func covers(_ other: Test) -> Bool {
            switch (self, other) {
            case (.present, _): true
            case (.equals(let mine), .equals(let others)): mine == others
            case (.prefix(let mine), .equals(let others)), (.prefix(let mine), .prefix(let others)):
                others.starts(with: mine)
            default: false
            }
        }

        private static func begins(_ value: UnsafeRawBufferPointer, with wanted: [UInt8]) -> Bool {
            guard value.count >= wanted.count else { return false }
            for index in wanted.indices where unsafe value[index] != wanted[index] { return false }
            return true
        }
    }

    package var source: FieldSource
    package var test: Test

    /// A condition.
    package init(source: FieldSource, test: Test) {
        self.source = source
        self.test = test
    }

    /// Whether every head for which `other` holds is one for which this holds as well.
    package func covers(_ other: FieldMatch) -> Bool {
        source == other.source && test.covers(other.test)
    }
}
