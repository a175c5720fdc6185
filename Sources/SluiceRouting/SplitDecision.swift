/// Which revision takes a request, and whether it stands in for another.
package struct SplitDecision: Sendable, Equatable {
    /// The revision's number, in configured order.
    package let revision: Int
    /// The revision whose share this request belongs to, where that one can't take it.
    package let spilloverFrom: Int?
}
