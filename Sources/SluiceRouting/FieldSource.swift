/// Where in a request's head a value stands: under which field name, or in which cookie.
package enum FieldSource: Sendable, Hashable {
    /// A header field, gRPC metadata included; the name is in lower case.
    case header(String)
    case cookie(String)
}
