import SluiceCore
package import SluiceRedis
import Yams

extension Configuration {
    /// The result cache that models share.
    package struct Cache: Sendable, Equatable {
        /// Bytes of memory for tier 1, books included.
        package var maxBytes = 256 << 20
        /// Bytes one answer may have to be kept, and one request to be looked up.
        package var maxEntryBytes = 1 << 20
        package var redis: Redis?
    }

    /// Tier 2.
    package struct Redis: Sendable, Equatable {
        package var url: RedisURL
        /// Whose first line is the password, read again whenever a connection couldn't be made.
        package var passwordFile: String?
        /// Who we are to the Sentinels, if they ask; the password is their file's first line.
        package var sentinelUser: String?
        package var sentinelPasswordFile: String?
        /// How to speak TLS, with `rediss://`.
        package var tls: BackendTLS?
        /// How long a look-up may take before the request goes on without it.
        package var timeout = Duration.milliseconds(20)
        /// What every key begins with.
        package var prefix = "sluice:"
    }

    /// How one model's answers are kept.
    package struct ModelCache: Sendable, Equatable {
        /// How long an answer is fresh.
        package var ttl: Duration
        /// How long after that it may still be served while a new one is fetched.
        package var staleWhileRevalidate = Duration.zero
        /// How long after that it may stand in for a failed call.
        package var staleIfError = Duration.zero
        /// Whether batches are kept row by row.
        package var rows = false
        /// How a revision is warmed before it first takes weight; nil lets it begin cold.
        package var warm: Warm?
    }
}

// MARK: - Reading

extension ConfigurationReader {
    func cache(_ node: Node, _ cache: inout Configuration.Cache) {
        guard var section = Section(node, name: "cache", findings) else { return }
        if let node = section.value("memory"),
            var memory = Section(node, name: "cache.memory", findings)
        {
            memory.bytes("maxBytes", from: 1 << 20, &cache.maxBytes)
            memory.bytes("maxEntryBytes", from: 1024, &cache.maxEntryBytes)
            memory.finish()
        }
        if let node = section.value("redis"),
            var redis = Section(node, name: "cache.redis", findings)
        {
            if let node = redis.required("url") {
                let text = node.scalar?.string ?? ""
                if let url = RedisURL(text) {
                    cache.redis = Configuration.Redis(url: url)
                    if case .path(let file) = url.place, file.utf8.count > SocketFile.pathMaximum {
                        findings.add(
                            "`cache.redis.url`: a socket's path has at most \(SocketFile.pathMaximum) bytes, and this one has \(file.utf8.count)",
                            at: node
                        )
                    }
                } else {
                    findings.add(
                        "`cache.redis.url` must be unix:///PATH, redis://[[USER]:PASSWORD@]HOST:PORT/DB, rediss://… or redis+sentinel://HOST,HOST/MASTER, not '\(Redaction.value(text))'",
                        at: node
                    )
                }
            }
            var (timeout, prefix) = (Duration.milliseconds(20), "sluice:")
            redis.duration("timeout", from: .milliseconds(1), &timeout)
            if let text = redis.text("prefix") { prefix = text }
            let passwordFile = file(&redis, "passwordFile", isRequired: false)
            if passwordFile != nil, cache.redis?.url.password != nil {
                findings.add(
                    "`cache.redis` has a password in `url` and a `passwordFile`; one of them is enough",
                    at: node
                )
            }
            if let part = redis.value("sentinel") { sentinel(part, &cache.redis) }
            if let part = redis.value("tls") {
                cache.redis?.tls = clientTLS(part, "cache.redis.tls")
                if cache.redis?.url.isSecure == false {
                    findings.add(
                        "`cache.redis.tls` goes with a `url` of rediss:// or rediss+sentinel://",
                        at: part
                    )
                }
            }
            redis.finish()
            cache.redis?.passwordFile = passwordFile
            cache.redis?.timeout = timeout
            cache.redis?.prefix = prefix
        }
        section.finish()
    }

    /// Who we are to the Sentinels; Redis's own user and password are in `url` and `passwordFile`.
    private func sentinel(_ node: Node, _ redis: inout Configuration.Redis?) {
        guard var section = Section(node, name: "cache.redis.sentinel", findings) else { return }
        redis?.sentinelUser = section.text("user")
        redis?.sentinelPasswordFile = file(&section, "passwordFile", isRequired: true)
        section.finish()
        guard let url = redis?.url else { return }
        if case .sentinels = url.place { return }
        findings.add(
            "`cache.redis.sentinel` goes with a `url` of redis+sentinel://HOST,HOST/MASTER",
            at: node
        )
    }

    func modelCache(_ node: Node, _ name: String) -> Configuration.ModelCache? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        guard section.required("ttl") != nil else { return nil }
        var cache = Configuration.ModelCache(ttl: .seconds(60))
        section.duration("ttl", from: .milliseconds(1), &cache.ttl)
        section.duration("staleWhileRevalidate", from: .zero, &cache.staleWhileRevalidate)
        section.duration("staleIfError", from: .zero, &cache.staleIfError)
        section.flag("rows", &cache.rows)
        if let node = section.value("warm") { cache.warm = warm(node, name, ttl: cache.ttl) }
        return cache
    }
}
