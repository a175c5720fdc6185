/// The status codes a protocol answers with, as label values.
package enum CodeVocabulary: Hashable, Sendable {
    /// HTTP statuses 100 to 599, in digits.
    case http
    /// gRPC status codes 0 to 16, by name.
    case grpc

    /// The codes in range.
    var codes: ClosedRange<Int> {
        switch self {
        case .http: 100...599
        case .grpc: 0...16
        }
    }

    /// The label value of `code`; `other` when the protocol doesn't know it.
    package func label(of code: Int) -> String {
        guard codes.contains(code) else { return "other" }
        switch self {
        case .http: return String(code)
        case .grpc: return GRPCStatusName.of(code).description
        }
    }
}

/// The names of gRPC's status codes, as labels and log lines show them.
package enum GRPCStatusName {
    /// The name of `code`, `UNKNOWN` beyond 16, which is how a client takes such a code too.
    ///
    /// Source: gRPC, "Status codes and their use in gRPC".
    package static func of(_ code: Int) -> StaticString {
        switch code {
        case 0: "OK"
        case 1: "CANCELLED"
        case 3: "INVALID_ARGUMENT"
        case 4: "DEADLINE_EXCEEDED"
        case 5: "NOT_FOUND"
        case 6: "ALREADY_EXISTS"
        case 7: "PERMISSION_DENIED"
        case 8: "RESOURCE_EXHAUSTED"
        case 9: "FAILED_PRECONDITION"
        case 10: "ABORTED"
        case 11: "OUT_OF_RANGE"
        case 12: "UNIMPLEMENTED"
        case 13: "INTERNAL"
        case 14: "UNAVAILABLE"
        case 15: "DATA_LOSS"
        case 16: "UNAUTHENTICATED"
        default: "UNKNOWN"
        }
    }
}
