import SluiceConfiguration
import SluiceControl
import SluiceWire

// Weights, and back to the file's.
extension AdminServer {
    var trafficRoutes: [AdminRoute] {
        [
            AdminRoute("PUT", "/api/v1/models/{model}/traffic", changesState: true) {
                [self] request, values, respond throws(AdminError) in
                let shift = TrafficShift(
                    model: values[0],
                    weights: try AdminServer.weights(try request.json()),
                    seenGeneration: try AdminServer.generation(request.ifMatch),
                    isDryRun: try AdminServer.flag("dryRun", of: request) ?? false,
                    isWarmed: try AdminServer.flag("warm", of: request) ?? true
                )
                changeModel(values[0], .shift(shift), request, respond)
            },
            AdminRoute("DELETE", "/api/v1/models/{model}/traffic", changesState: true) {
                [self] request, values, respond throws(AdminError) in
                let isWarmed = try AdminServer.flag("warm", of: request) ?? true
                let change = Change.unshift(model: values[0], isWarmed: isWarmed)
                changeModel(values[0], change, request, respond)
            },
        ]
    }

    /// `{"v1": 80, "v2": 20}`, in percent with up to two decimals.
    private static func weights(_ body: JSONValue) throws(AdminError) -> [String: Int] {
        guard case .object(let members) = body, !members.isEmpty else {
            throw AdminError(
                400,
                "the body is weights by revision, such as {\"v1\": 80, \"v2\": 20}"
            )
        }
        var weights: [String: Int] = [:]
        for member in members {
            guard case .number(let text) = member.value,
                let points = Configuration.basisPoints(text)
            else {
                throw AdminError(
                    400,
                    "the weight of '\(member.name)' must be a percentage from 0 to 100 with up to two decimals"
                )
            }
            guard weights.updateValue(points, forKey: member.name) == nil else {
                throw AdminError(400, "revision '\(member.name)' stands twice")
            }
        }
        return weights
    }

    /// The number in `If-Match: "7"` (RFC 9110 §13.1.1); nil without the field or for `*`.
    private static func generation(_ field: String?) throws(AdminError) -> Int? {
        guard let field, field != "*" else { return nil }
        guard field.hasPrefix("\""), field.hasSuffix("\""), field.count > 2,
            let number = Int(field.dropFirst().dropLast())
        else {
            throw AdminError(
                400,
                "If-Match is the ETag of the state you have seen, such as \"7\""
            )
        }
        return number
    }

    /// A parameter that is true or false; nil without it.
    private static func flag(
        _ name: String,
        of request: AdminRequest
    ) throws(AdminError) -> Bool? {
        switch request.query[name] {
        case nil: return nil
        case "false": return false
        case "", "true": return true
        default: throw AdminError(400, "\(name) is true or false")
        }
    }
}
