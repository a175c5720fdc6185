/// One path of the admin API and what answers it.
struct AdminRoute {
    /// Answers at once or later, once; on the control loop.
    typealias Respond = (AdminReply) -> Void
    /// What answers: the call and the values of the path's `{}` segments, in their order.
    typealias Handler = (AdminRequest, [String], @escaping Respond) throws(AdminError) -> Void

    let method: String
    /// The path with `{name}` for segments that vary.
    let pattern: String
    /// Whether it takes the token, if one is configured.
    let changesState: Bool
    let handler: Handler
    private let segments: [String]

    init(
        _ method: String,
        _ pattern: String,
        changesState: Bool = false,
        _ handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = pattern
        self.changesState = changesState
        self.handler = handler
        segments = pattern.split(separator: "/").map(String.init)
    }

    /// The values of the `{}` segments if the path fits, whatever the method.
    func match(_ path: [String]) -> [String]? {
        guard path.count == segments.count else { return nil }
        var values: [String] = []
        for (wanted, given) in zip(segments, path) {
            if wanted.hasPrefix("{") {
                values.append(given)
            } else if wanted != given {
                return nil
            }
        }
        return values
    }
}
