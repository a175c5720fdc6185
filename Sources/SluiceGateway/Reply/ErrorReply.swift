import SluiceGRPC
import SluiceTelemetry

/// Why the gateway answers in a backend's place, or refuses: what it tells each kind of caller.
///
/// This is the one table from failure to HTTP status, gRPC code, sentence and log reason
/// (`protocols.md` §4 for the codes).
struct ErrorReply {
    let http: Int
    let grpc: GRPCStatus
    let reason: Reason
    let sentence: String
    /// The methods a path takes, for 405.
    var allow: StaticString = ""
    /// When trying again makes sense, for 429 and 503.
    var retryAfterSeconds = 0
    /// Whether the body's coding is at fault, so that the answer says which ones are read.
    var wantsKnownCoding = false
}
