import SluiceControl
import SluiceGateway
import SluiceWire

// Models, their revisions and backends.
extension AdminServer {
    var modelRoutes: [AdminRoute] {
        [
            AdminRoute("GET", "/api/v1/models") {
                [runtime, live, self] request, _, respond throws(AdminError) in
                if ModelPage.isWanted(request.query) {
                    respond(try page(request.query))
                    return
                }
                let state = StatusReport.models(runtime.coordinator, live.present)
                var members = [JSONValue.Member("redis", runtime.redisState)]
                if case .object(let own) = state { members = own + members }
                var reply = AdminReply(200, .object(members))
                reply.fields = [("etag", "\"\(runtime.coordinator.snapshot.generation)\"")]
                respond(reply)
            },
            AdminRoute("GET", "/api/v1/models/{model}") {
                [self] _, values, respond throws(AdminError) in
                respond(try state(of: values[0]))
            },
            AdminRoute(
                "PUT",
                "/api/v1/models/{model}/revisions/{revision}/backends/{address}",
                changesState: true
            ) { [self] request, values, respond throws(AdminError) in
                guard
                    let state = try request.json()["state"]?.text.flatMap(
                        BackendState.init(rawValue:)
                    )
                else {
                    let states = BackendState.allCases.map(\.rawValue).joined(separator: ", ")
                    throw AdminError(400, "the body is {\"state\": one of \(states)}")
                }
                let target = Change.backend(
                    model: values[0],
                    revision: values[1],
                    address: values[2],
                    state: state
                )
                changeModel(values[0], target, request, respond)
            },
        ]
    }

    /// A page of the list, found and ordered as the parameters say.
    private func page(_ parameters: [String: String]) throws(AdminError) -> AdminReply {
        let page: ModelPage
        do throws(ModelQuery.Failure) {
            page = try ModelPage(parameters)
        } catch {
            throw AdminError(error)
        }
        let coordinator = runtime.coordinator
        let snapshot = coordinator.snapshot
        var list = ModelList()
        list.update(
            StatusReport.summaries(snapshot, coordinator, live.present),
            searchTexts: StatusReport.searchTexts(snapshot)
        )
        let ranking = list.ranking(page.query, at: state.now)
        let (places, next) = page.slice(of: ranking) { snapshot.models[$0].name }
        let models = places.map {
            StatusReport.model(snapshot.models[$0], coordinator, live.present)
        }
        var reply = AdminReply(
            200,
            .object([
                .init("generation", .number("\(snapshot.generation)")),
                .init("models", .array(models)),
                .init("matching", .number("\(ranking.count)")),
                .init("continue", next.map { .string($0) } ?? .null),
                .init("redis", runtime.redisState),
            ])
        )
        reply.fields = [("etag", "\"\(snapshot.generation)\"")]
        return reply
    }

    /// A model's state and the generation it is of.
    func state(of name: String) throws(AdminError) -> AdminReply {
        let coordinator = runtime.coordinator
        guard
            let reply = AdminServer.state(
                of: name,
                in: coordinator.snapshot,
                [],
                coordinator,
                live.present
            )
        else {
            throw AdminError(404, "unknown model '\(name)'")
        }
        return reply
    }

    /// Makes a change and answers with the model as it is then.
    func changeModel(
        _ name: String,
        _ change: Change,
        _ request: AdminRequest,
        _ respond: @escaping AdminRoute.Respond
    ) {
        self.change(change, by: request.who, respond) {
            [coordinator = runtime.coordinator, present = live.present] applied in
            AdminServer.state(of: name, in: applied.snapshot, applied.notes, coordinator, present)
                ?? AdminError(404, "unknown model '\(name)'").reply
        }
    }

    private static func state(
        of name: String,
        in snapshot: Snapshot,
        _ notes: [String],
        _ coordinator: ChangeCoordinator,
        _ live: LivePresent
    ) -> AdminReply? {
        guard let plan = snapshot.models.first(where: { $0.name == name }),
            case .object(var members) = StatusReport.model(plan, coordinator, live)
        else { return nil }
        members.insert(.init("generation", .number("\(snapshot.generation)")), at: 0)
        if !notes.isEmpty {
            members.append(.init("notes", .array(notes.map { .string($0) })))
        }
        var reply = AdminReply(200, .object(members))
        reply.fields = [("etag", "\"\(snapshot.generation)\"")]
        return reply
    }
}
