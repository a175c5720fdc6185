/// A field of a message as text, for tests.
package struct HeaderField: Hashable, Sendable, CustomStringConvertible {
    /// The name, in lower case.
    package var name: String
    /// The value.
    package var value: String

    /// A field.
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// `name: value`.
    package var description: String { "\(name): \(value)" }
}
