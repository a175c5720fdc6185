/// Where a request says which backend it belongs to.
package enum HashSource: Sendable, Equatable {
    /// The value of a header, by its lower-case name.
    case header(String)
    /// The value of a cookie.
    case cookie(String)
}
