// The page that operators look at.
extension AdminServer {
    var pageRoutes: [AdminRoute] {
        DashboardPage.files.map { file in
            AdminRoute("GET", file.path) { request, _, respond in
                let isKnown = request.ifNoneMatch.map(file.isNamed) ?? false
                var reply = AdminReply(
                    isKnown ? 304 : 200,
                    type: file.type,
                    isKnown ? [] : file.body
                )
                reply.fields = DashboardPage.fields + [("etag", file.entityTag)]
                respond(reply)
            }
        }
    }
}
