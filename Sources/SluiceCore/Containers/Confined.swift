/// A value that lives on one thread, on its way there through a message.
///
/// Unchecked: only the thread that made the value may take it out again, and messages to that
/// thread are the only place where this is used.
package struct Confined<Value>: @unchecked Sendable {
    /// The value; to be touched on its own thread only.
    package let value: Value

    /// Wraps a value on its own thread.
    package init(_ value: Value) { self.value = value }
}
