/// Statuses between HTTP and gRPC when a call is translated, in one place.
///
/// gRPC to HTTP is the canonical table that TensorFlow Serving uses as well; HTTP to gRPC reads it
/// backwards where it is unambiguous. It isn't gRPC's table for proxies' bare answers ("HTTP to gRPC
/// Status Code Mapping"): there a 404 means that nobody speaks gRPC, here that there is no such model.
package enum StatusTable {
    /// The HTTP status that a gRPC code becomes.
    package static func http(grpc code: Int) -> Int {
        switch code {
        case 0: 200
        case 1: 499
        case 3, 9, 11: 400
        case 4: 504
        case 5: 404
        case 6, 10: 409
        case 7: 403
        case 8: 429
        case 12: 501
        case 14: 503
        case 16: 401
        default: 500
        }
    }

    /// The gRPC code that a REST backend's HTTP status becomes.
    package static func grpc(http status: Int) -> Int {
        switch status {
        case 200..<300: 0
        case 400, 422: 3
        case 401: 16
        case 403: 7
        case 404: 5
        case 408, 504: 4
        case 409: 6
        case 413, 429: 8
        case 499: 1
        case 501: 12
        case 502, 503: 14
        default: 13
        }
    }

    /// The HTTP status of a request that can't be read or translated: the caller can change both.
    package static func http(_ kind: InferenceFailure.Kind) -> Int { 400 }

    /// The gRPC code of a request that can't be read or translated.
    package static func grpc(_ kind: InferenceFailure.Kind) -> Int {
        switch kind {
        case .invalid: 3
        case .inexpressible: 12
        }
    }

    /// What a backend's answer that can't be read or translated becomes: its fault, not the caller's.
    package static let badAnswer = (http: 502, grpc: 13)
}
