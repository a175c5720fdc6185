import Foundation
import SluiceBalancing
import SluiceConfiguration
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceInference
import SluiceTLS

// One plan for each replica that a backend's entry stands for.
extension SnapshotCompiler {
    /// The replicas at the addresses of the entry's names; one without an address, which is never
    /// asked but shown with what is wrong, while there are none.
    mutating func plans(
        _ backend: Configuration.Backend,
        _ model: Configuration.Model,
        _ revision: Configuration.Revision,
        _ metadata: MetadataPlan,
        _ configuration: Configuration,
        _ used: inout [String: BackendLoad]
    ) throws(CompileFailure) -> [BackendPlan] {
        let rest = try targets(
            backend,
            backend.rest,
            isGRPC: false,
            configuration,
            model.backendIdleTimeout
        )
        let grpc = try targets(
            backend,
            backend.grpc,
            isGRPC: true,
            configuration,
            model.backendIdleTimeout
        )
        let urls = [backend.rest, backend.grpc].compactMap { $0 }
        var pairs = SnapshotCompiler.pairs(rest, grpc)
        if pairs.isEmpty { pairs.append((nil, nil)) }
        let fields = BackendFields(backend.headers.map { ($0.name, $0.value) })
        return pairs.map { pair in
            let target = pair.rest ?? pair.grpc
            var label = target?.endpoint.address.description ?? urls.first?.authority ?? "-"
            var key = "\(model.name)\u{0}\(revision.name)\u{0}\(label)"
            if let path = backend.rest?.path, !path.isEmpty, used[key] != nil {
                // Two replicas at one address are told apart by their paths.
                label += path
                key += path
            }
            let load = line(for: key, &used)
            if target == nil { load.health = .down }
            var plan = BackendPlan(
                label: label,
                rest: pair.rest,
                grpc: pair.grpc,
                load: load,
                names: urls.map(\.name).filter { !$0.isNumeric },
                note: note(for: key),
                probePath: model.health.path ?? "/v2/health/ready",
                probePathV1: SnapshotCompiler.probePathV1(model, revision),
                probeInterval: model.health.interval,
                probeTimeout: model.health.timeout,
                metadata: metadata,
                weight: backend.share.weight,
                maxInFlight: backend.share.maxInFlight
            )
            if let fields { plan.fields = fields }
            return plan
        }
    }

    /// How V1 asks for the model's readiness; nil where an operator has said what to ask for.
    private static func probePathV1(
        _ model: Configuration.Model,
        _ revision: Configuration.Revision
    ) -> String? {
        guard model.health.path == nil else { return nil }
        return "/v1/models/\(PathSegment.escaped(revision.modelName ?? model.name))"
    }

    /// REST and gRPC of one replica share its address; where no two do, as when each has a name of its
    /// own, they are paired in order.
    private static func pairs(
        _ rest: [BackendTarget],
        _ grpc: [BackendTarget]
    ) -> [(rest: BackendTarget?, grpc: BackendTarget?)] {
        var left = grpc
        var pairs: [(rest: BackendTarget?, grpc: BackendTarget?)] = rest.map { target in
            let host = target.endpoint.address.host
            let place = left.firstIndex { $0.endpoint.address.host == host }
            return (target, place.map { left.remove(at: $0) })
        }
        guard left.count < grpc.count else {
            return (0..<max(rest.count, grpc.count)).map {
                ($0 < rest.count ? rest[$0] : nil, $0 < grpc.count ? grpc[$0] : nil)
            }
        }
        pairs += left.map { (nil, $0) }
        return pairs
    }

    private mutating func targets(
        _ backend: Configuration.Backend,
        _ url: Configuration.BackendURL?,
        isGRPC: Bool,
        _ configuration: Configuration,
        _ idleTimeout: Duration?
    ) throws(CompileFailure) -> [BackendTarget] {
        guard let url else { return [] }
        let tls = backend.tls
        // A numeric address is read without asking; one that is none has no replicas.
        let found =
            url.name.isNumeric
            ? (try? url.name.resolve()) ?? [] : addresses[url.name] ?? []
        var context: TLSClientContext?
        var version = ""
        if url.scheme == .https {
            do throws(TLSFailure) {
                let made = try self.context(for: tls, isGRPC: isGRPC)
                context = made.context
                version = " \(made.version)"
            } catch {
                throw CompileFailure(sentence: "backend \(url.text): \(error)")
            }
        }
        let httpVersion: Endpoint.HTTPVersionPolicy =
            switch url.scheme {
            case .http: isGRPC ? .http2 : .http1
            case .h2c: .http2
            case .https: isGRPC ? .http2 : .negotiated
            }
        return ReplicaAddress.replicas(of: found).map { replica in
            var endpoint = Endpoint(
                address: replica.address,
                httpVersion: httpVersion,
                tls: context,
                serverName: tls?.serverName ?? url.serverName
            )
            endpoint.alternates = replica.alternates
            endpoint.maxHeaderBytes = configuration.limits.maxHeaderBytes
            if let idleTimeout {
                endpoint.idleTimeout = idleTimeout
                endpoint.multiplexedIdleTimeout = idleTimeout
            }
            let places = ([replica.address] + replica.alternates).map(\.description)
            var target = BackendTarget(
                key:
                    "\(url.text) \(places.joined(separator: ",")) \(isGRPC) \(tls.map { "\($0)" } ?? "")\(version)\(idleTimeout.map { " \($0)" } ?? "")",
                endpoint: endpoint,
                authority: url.authority
            )
            target.basePath = url.path
            return target
        }
    }
}
