/// What comes before the draw by weight: `allowRevisionHeader`, `routes`, `sticky`, in this order.
package struct TrafficRules: Sendable, Equatable {
    /// Who is dealt how.
    package struct Sticky: Sendable, Equatable {
        /// Where a request says whose it is; one that doesn't is dealt by chance.
        package var source: FieldSource
        package var split: StickySplit

        /// Users by the value found at `source`.
        package init(source: FieldSource, split: StickySplit) {
            self.source = source
            self.split = split
        }
    }

    /// Whether a client may name its revision in `x-sluice-revision`.
    package var allowsRevisionHeader: Bool
    package var table: RouteTable
    package var sticky: Sticky?

    /// A model's rules.
    package init(allowsRevisionHeader: Bool, table: RouteTable, sticky: Sticky?) {
        self.allowsRevisionHeader = allowsRevisionHeader
        self.table = table
        self.sticky = sticky
    }
}
