import SluiceConfiguration
import SluiceRouting

extension SnapshotCompiler {
    /// What comes before a model's weights; nil where nothing does.
    static func rules(_ model: Configuration.Model) -> TrafficRules? {
        guard model.split != Configuration.Split() else { return nil }
        let names = model.revisions.map(\.name)
        let routes = model.split.routes.compactMap { route in
            // The configuration has checked that there is one.
            names.firstIndex(of: route.revision).map {
                RouteTable.Route(match: route.match, revision: $0)
            }
        }
        return TrafficRules(
            allowsRevisionHeader: model.split.allowRevisionHeader,
            table: RouteTable(routes),
            sticky: model.split.sticky.map {
                TrafficRules.Sticky(
                    source: $0.source,
                    split: StickySplit(model: model.name, salt: $0.salt, revisions: names)
                )
            }
        )
    }
}
