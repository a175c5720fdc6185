import SluiceHTTP
import SluiceRouting

/// A model's ``TrafficRules`` with the places in a head they look at.
final class WorkerRules {
    let rules: TrafficRules
    /// Where each route looks, in the table's order.
    private let routeKeys: [FieldKey]
    private let stickyKey: FieldKey?

    init(_ rules: TrafficRules) {
        self.rules = rules
        routeKeys = rules.table.routes.map { FieldKey($0.match.source) }
        stickyKey = rules.sticky.map { FieldKey($0.source) }
    }

    /// The revision that a route gives a request with this head.
    func routed(_ head: FieldBlock) -> Int? {
        unsafe rules.table.revision { unsafe routeKeys[$0].anyValue(in: head, where: $1) }
    }

    /// Whose request this is, as far as its head says; valid until the head changes.
    func user(_ head: FieldBlock) -> UnsafeRawBufferPointer? {
        unsafe stickyKey?.value(in: head)
    }
}

extension FieldKey {
    init(_ source: FieldSource) {
        switch source {
        case .header(let name): self.init(header: name)
        case .cookie(let name): self.init(cookie: name)
        }
    }
}
