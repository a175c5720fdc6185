/// Where a request stands on its way; see ``Worker`` for the steps between.
enum RequestStage: UInt8 {
    /// The head is here; a gRPC body must first say which model it means.
    case routing
    /// A backend is chosen and a connection to it is being made.
    case connecting
    /// The request is collected, to be looked up in the cache when it is whole.
    case gathering
    /// An equal call is under way, or tier 2 is being asked.
    case waiting
    /// The request goes out and the answer comes in.
    case relaying
    /// The gateway answers by itself once it has the request's message.
    case answering
    /// An error is decided; it goes out when the client has sent its body, or too much of it,
    /// or has been waited for long enough.
    case failing
}
