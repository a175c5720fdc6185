/// What one side of a stream has heard from the other.
package struct ReceivedMessage: Equatable, Sendable {
    /// Interim responses (1xx), in order.
    package var interims: [[HeaderField]] = []
    /// The fields of the message's head.
    package var head: [HeaderField] = []
    /// The body's bytes.
    package var body: [UInt8] = []
    /// The fields of the trailer section.
    package var trailers: [HeaderField]?
    /// Whether the message ended properly.
    package var isComplete = false
    /// The code on the wire with which the stream was reset.
    package var resetCode: UInt32?

    /// Nothing heard yet.
    package init() {}
}
