/// What becomes of a head on its way through: the part of its name that says so.
///
/// A request's head is changed for the backend it goes to, an answer's for who gave it and what the cache
/// had to do with it; all else that is written into them comes from the connection a head came over. So
/// the head as it came and one of these name what goes out (`HeadName`).
enum HeadUse {
    /// How many there are for each backend, whose own numbers are that far apart.
    static let count: UInt64 = 8

    static let request: UInt64 = 0

    /// Three for answers to callers of REST, by what the cache had to do with them, and three for gRPC.
    static let answers: UInt64 = 1
}
