/// A whole answer that differs from earlier ones in a few values and its body.
///
/// Its head and its trailers go by the names that blocks with the same fields were sent under
/// (``FieldBlock/repeatName``), so that neither is put together, compared or encoded once more.
@safe
package struct RepeatedAnswer {
    /// What volatile fields say, in the order of their fields.
    @safe
    package struct Values {
        private let first: UnsafeRawBufferPointer
        private let second: UnsafeRawBufferPointer
        /// How many there are.
        package let count: Int

        /// No values.
        package static var none: Values {
            let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            return unsafe Values(first: nothing, second: nothing, count: 0)
        }

        /// Two values, borrowed for the call.
        package init(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) {
            unsafe self.init(first: first, second: second, count: 2)
        }

        private init(
            first: UnsafeRawBufferPointer,
            second: UnsafeRawBufferPointer,
            count: Int
        ) {
            unsafe self.first = unsafe first
            unsafe self.second = unsafe second
            self.count = count
        }

        /// Bytes of all values together.
        package var byteCount: Int { unsafe first.count &+ second.count }

        /// Value number `index`.
        package subscript(index: Int) -> UnsafeRawBufferPointer {
            precondition(index < count, "no such value")
            return unsafe index == 0 ? first : second
        }
    }

    /// The head's name.
    package let head: HeadName
    /// The values of the head's volatile fields.
    package let values: Values
    /// The body in two pieces, the second of which has bytes.
    package let body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer)
    /// The name of the trailers, which have no volatile fields.
    package let trailers: HeadName

    /// An answer with these blocks and a body in two pieces, borrowed for the call.
    package init(
        head: HeadName,
        values: Values,
        body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer),
        trailers: HeadName
    ) {
        self.head = head
        self.values = values
        unsafe self.body = unsafe body
        self.trailers = trailers
    }

    /// Bytes of the whole body.
    package var bodyCount: Int { unsafe body.0.count &+ body.1.count }
}
