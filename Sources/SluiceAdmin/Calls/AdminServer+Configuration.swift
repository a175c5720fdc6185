import SluiceConfiguration
import SluiceControl
import SluiceGateway
import SluiceWire

// The file, and what is in force of it.
extension AdminServer {
    var configurationRoutes: [AdminRoute] {
        [
            AdminRoute("GET", "/api/v1/config") { [runtime] _, _, respond in
                let text = runtime.configuration.yamlText
                respond(AdminReply(200, type: "application/yaml", Array(text.utf8)))
            },
            AdminRoute("GET", "/api/v1/openapi.json") { _, _, respond in
                respond(
                    AdminReply(200, type: "application/json", PackageResources.openapi_json)
                )
            },
            AdminRoute("POST", "/api/v1/reload", changesState: true) { [self] request, _, respond in
                change(.reload, by: request.who, respond) { applied in
                    AdminReply(
                        200,
                        .object([
                            .init("generation", .number("\(applied.snapshot.generation)")),
                            .init("notes", .array(applied.notes.map { .string($0) })),
                        ])
                    )
                }
            },
        ]
    }
}
