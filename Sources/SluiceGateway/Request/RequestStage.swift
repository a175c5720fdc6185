/// Where a request stands on its way.
///
/// The files of the steps are named where each begins; *Life of a Request* tells the whole.
enum RequestStage: UInt8 {
    /// The head is here; a gRPC body must first say which model it means (`Worker+Intake`, `Worker+BodyIntake`).
    case routing
    /// A backend is chosen and a connection to it is being made, or a place in the queue is waited for
    /// (`Worker+BackendSelection`, `Worker+QueueWait`).
    case connecting
    /// The request is collected, to be looked up in the cache or translated when it is whole (`Worker+ResultLookup`).
    case gathering
    /// An equal call is under way, tier 2 is being asked, or a helper thread has the body (`Worker+Coalescing`,
    /// `Worker+Redis`, `Worker+Offload`).
    case waiting
    /// The request goes out and the answer comes in (`Worker+Relay`).
    case relaying
    /// The gateway answers by itself once it has the request's message (`Worker+Services`).
    case answering
    /// An error is decided; it goes out when the client has sent its body, or too much of it,
    /// or has been waited for long enough (`Worker+Reply`).
    case failing
}
