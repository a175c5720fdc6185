import SluiceBalancing
import SluiceInference
import SluiceRedis

// A configuration as YAML that reads back as the same value, but for a password in `redis.url`:
// the text is for people to read, so it is hidden.
extension Configuration {
    /// The YAML; values that equal their default are left out.
    package var yamlText: String {
        var lines = ["listeners:"]
        for listener in listeners {
            lines.append("  - address: \(YAMLText.quoted(listener.address.text))")
            if let tls = listener.tls {
                lines.append("    tls:")
                lines.append("      certificate: \(YAMLText.quoted(tls.certificate))")
                lines.append("      privateKey: \(YAMLText.quoted(tls.privateKey))")
                if let authority = tls.clientCA {
                    lines.append("      clientCA: \(YAMLText.quoted(authority))")
                }
            }
            if let cors = listener.cors { lines.append("    cors: \(cors.yamlText)") }
        }
        let plain = Configuration()
        lines.append("admin:")
        lines.append("  address: \(YAMLText.quoted(admin.address.text))")
        if let file = admin.tokenFile { lines.append("  tokenFile: \(YAMLText.quoted(file))") }
        if let file = admin.stateFile { lines.append("  stateFile: \(YAMLText.quoted(file))") }
        if !watch { lines.append("watch: false") }
        if dnsInterval != plain.dnsInterval {
            lines.append("dnsInterval: \(Units.text(dnsInterval))")
        }
        if workers != plain.workers { lines.append("workers: \(workers)") }
        if drainTimeout != plain.drainTimeout {
            lines.append("drainTimeout: \(Units.text(drainTimeout))")
        }
        if drainDelay != plain.drainDelay { lines.append("drainDelay: \(Units.text(drainDelay))") }
        if accessLog != plain.accessLog {
            lines.append("accessLog: \(YAMLText.quoted(accessLog.text))")
        }
        lines += limitLines
        lines += cacheLines
        lines.append("models:")
        for model in models { lines += modelLines(model) }
        return lines.joined(separator: "\n") + "\n"
    }

    private var limitLines: [String] {
        let plain = Limits()
        guard limits != plain else { return [] }
        return [
            "limits:", "  maxRequestBytes: \(Units.text(bytes: limits.maxRequestBytes))",
            "  maxHeaderBytes: \(Units.text(bytes: limits.maxHeaderBytes))",
            "  maxConnections: \(limits.maxConnections)",
            "  maxConnectionsPerAddress: \(limits.maxConnectionsPerAddress)",
            "  maxConcurrentStreams: \(limits.maxConcurrentStreams)",
            "  headerTimeout: \(Units.text(limits.headerTimeout))",
            "  bodyTimeout: \(Units.text(limits.bodyTimeout))",
            "  idleTimeout: \(Units.text(limits.idleTimeout))",
        ] + (limits.maxMemory > 0 ? ["  maxMemory: \(Units.text(bytes: limits.maxMemory))"] : [])
    }

    private var cacheLines: [String] {
        guard cache != Cache() else { return [] }
        var lines = [
            "cache:", "  memory:", "    maxBytes: \(Units.text(bytes: cache.maxBytes))",
            "    maxEntryBytes: \(Units.text(bytes: cache.maxEntryBytes))",
        ]
        if let redis = cache.redis {
            lines += [
                "  redis:", "    url: \(YAMLText.quoted(redis.url.description))",
                "    timeout: \(Units.text(redis.timeout))",
                "    prefix: \(YAMLText.quoted(redis.prefix))",
            ]
            if let file = redis.passwordFile {
                lines.append("    passwordFile: \(YAMLText.quoted(file))")
            }
            if let file = redis.sentinelPasswordFile {
                let user = redis.sentinelUser.map { "user: \(YAMLText.quoted($0)), " } ?? ""
                lines.append("    sentinel: {\(user)passwordFile: \(YAMLText.quoted(file))}")
            }
            if let tls = redis.tls { lines.append("    tls: \(tls.yamlText)") }
        }
        return lines
    }

    private func modelLines(_ model: Model) -> [String] {
        var lines = ["  - name: \(YAMLText.quoted(model.name))"]
        lines.append("    timeout: \(Units.text(model.timeout))")
        lines.append("    loadBalancing: \(model.loadBalancing.rawValue)")
        if model.health != Health() {
            lines.append("    health:")
            lines.append("      interval: \(Units.text(model.health.interval))")
            lines.append("      timeout: \(Units.text(model.health.timeout))")
            if let path = model.health.path {
                lines.append("      path: \(YAMLText.quoted(path))")
            }
        }
        if let cache = model.cache {
            lines.append("    cache:")
            lines.append("      ttl: \(Units.text(cache.ttl))")
            if cache.staleWhileRevalidate > .zero {
                lines.append(
                    "      staleWhileRevalidate: \(Units.text(cache.staleWhileRevalidate))"
                )
            }
            if cache.staleIfError > .zero {
                lines.append("      staleIfError: \(Units.text(cache.staleIfError))")
            }
            if cache.rows { lines.append("      rows: true") }
            if let warm = cache.warm { lines.append("      warm: \(warm.yamlText)") }
        }
        if let rollout = model.rollout { lines.append("    rollout: \(rollout.yamlText)") }
        if let idle = model.backendIdleTimeout {
            lines.append("    backendIdleTimeout: \(Units.text(idle))")
        }
        if let tensors = model.tensors { lines.append("    tensors: \(tensors.yamlText)") }
        lines += model.resilience.yamlLines
        lines += modelLimitLines(model)
        lines += splitLines(model.split)
        if let mirror = model.mirror { lines.append("    mirror: \(mirror.yamlText)") }
        lines.append("    revisions:")
        for revision in model.revisions {
            lines.append("      - name: \(YAMLText.quoted(revision.name))")
            lines.append("        traffic: \(Units.percent(revision.traffic))")
            if let name = revision.modelName {
                lines.append("        modelName: \(YAMLText.quoted(name))")
            }
            if let runtimeKind = revision.runtimeKind {
                lines.append("        dialect: \(runtimeKind.rawValue)")
            }
            if let file = revision.backendsFile {
                lines.append("        backendsFile: \(YAMLText.quoted(file.path))")
            }
            if !revision.backends.isEmpty { lines.append("        backends:") }
            for backend in revision.backends { lines += backendLines(backend) }
        }
        return lines
    }

    private func backendLines(_ backend: Backend) -> [String] {
        var fields: [String] = []
        if let text = backend.discoveryText {
            fields.append(text)
        } else {
            if let rest = backend.rest { fields.append("rest: \(YAMLText.quoted(rest.text))") }
            if let grpc = backend.grpc { fields.append("grpc: \(YAMLText.quoted(grpc.text))") }
        }
        if let tls = backend.tls {
            fields.append("tls: \(tls.yamlText)")
        }
        if let headers = backend.headersText { fields.append(headers) }
        fields += backend.share.yamlFields
        return ["          - {\(fields.joined(separator: ", "))}"]
    }
}

extension Configuration.BackendTLS {
    /// The value of `tls`.
    fileprivate var yamlText: String {
        var parts: [String] = []
        if let ca { parts.append("ca: \(YAMLText.quoted(ca))") }
        if let certificate { parts.append("certificate: \(YAMLText.quoted(certificate))") }
        if let privateKey { parts.append("privateKey: \(YAMLText.quoted(privateKey))") }
        if let serverName { parts.append("serverName: \(YAMLText.quoted(serverName))") }
        if insecureSkipVerify { parts.append("insecureSkipVerify: true") }
        return "{\(parts.joined(separator: ", "))}"
    }
}
