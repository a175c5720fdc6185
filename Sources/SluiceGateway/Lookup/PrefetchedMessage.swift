/// A message that was read ahead of its turn, for the request that began last.
///
/// It means something only while that request is the last to have begun: a connection's bytes are worked
/// through before any other's, so its message is still where it was.
@safe
struct PrefetchedMessage {
    let request: Request
    let message: ExactRequestKeyCache.Message
}
