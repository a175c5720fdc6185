import Foundation
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
        /// How long a look-up may take before the request goes on without it.
        package var timeout = Duration.milliseconds(20)
        /// What every key begins with.
        package var prefix = "sluice:"
    }

    /// A Redis server's URL, taken apart.
    package struct RedisURL: Sendable, Equatable {
        package enum Place: Sendable, Equatable {
            case unix(path: String)
            case tcp(host: String, port: UInt16)
        }
        package var place: Place
        package var database = 0
        package var user: String?
        package var password: String?

        /// As it was written, without its password.
        package var text: String {
            let who = password == nil ? "" : "\(user ?? ""):***@"
            switch place {
            case .unix(let path):
                return "unix://\(who)\(path)" + (database == 0 ? "" : "?db=\(database)")
            case .tcp(let host, let port):
                let name = host.contains(":") ? "[\(host)]" : host
                return "redis://\(who)\(name):\(port)" + (database == 0 ? "" : "/\(database)")
            }
        }
    }

    /// How one model's answers are kept.
    package struct ModelCache: Sendable, Equatable {
        /// How long an answer is fresh.
        package var ttl: Duration
        /// How long after that it may still be served while a new one is fetched.
        package var staleWhileRevalidate = Duration.zero
        /// How long after that it may stand in for a failed call.
        package var staleIfError = Duration.zero
    }
}

extension Configuration.RedisURL {
    /// Reads `unix:///PATH[?db=N]` or `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`; nil when it is
    /// something else.
    package init?(_ text: String) {
        if text.hasPrefix("unix://") {
            var rest = text.dropFirst("unix://".count)
            var (user, password): (String?, String?) = (nil, nil)
            if let at = rest.firstIndex(of: "@"), !rest[..<at].contains("/") {
                (user, password) = Self.credentials(rest[..<at])
                rest = rest[rest.index(after: at)...]
            }
            var database = 0
            if let question = rest.firstIndex(of: "?") {
                let query = rest[rest.index(after: question)...]
                guard query.hasPrefix("db="), let number = Self.database(query.dropFirst(3)) else {
                    return nil
                }
                database = number
                rest = rest[..<question]
            }
            // sockaddr_un has room for 107 bytes and a zero.
            guard rest.hasPrefix("/"), rest.count > 1, rest.utf8.count <= 107 else { return nil }
            self.init(place: .unix(path: String(rest)), database: database, user: user, password: password)
            return
        }
        guard text.hasPrefix("redis://") else { return nil }
        var rest = text.dropFirst("redis://".count)
        var (user, password): (String?, String?) = (nil, nil)
        if let at = rest.lastIndex(of: "@") {
            (user, password) = Self.credentials(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        var database = 0
        if let slash = rest.firstIndex(of: "/") {
            let number = rest[rest.index(after: slash)...]
            guard number.isEmpty || Self.database(number) != nil else { return nil }
            database = Self.database(number) ?? 0
            rest = rest[..<slash]
        }
        let hasPort = rest.last == "]" ? false : rest.contains(":")
        guard let address = Configuration.ListenAddress(hasPort ? String(rest) : "\(rest):6379"),
            address.port > 0
        else { return nil }
        self.init(
            place: .tcp(host: address.host, port: address.port),
            database: database,
            user: user,
            password: password
        )
    }

    private static func credentials(_ text: Substring) -> (user: String?, password: String?) {
        guard let colon = text.firstIndex(of: ":") else { return (nil, decoded(text)) }
        let user = decoded(text[..<colon])
        return (user?.isEmpty == true ? nil : user, decoded(text[text.index(after: colon)...]))
    }

    private static func decoded(_ text: Substring) -> String? { String(text).removingPercentEncoding }

    private static func database(_ text: Substring) -> Int? {
        guard let number = Int(text), (0...65_535).contains(number) else { return nil }
        return number
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
                if let url = Configuration.RedisURL(text) {
                    cache.redis = Configuration.Redis(url: url)
                } else {
                    findings.add(
                        "`cache.redis.url` must be unix:///PATH or redis://[USER:PASSWORD@]HOST:PORT/DB, not '\(text)'",
                        at: node
                    )
                }
            }
            var (timeout, prefix) = (Duration.milliseconds(20), "sluice:")
            redis.duration("timeout", from: .milliseconds(1), &timeout)
            if let text = redis.text("prefix") { prefix = text }
            redis.finish()
            cache.redis?.timeout = timeout
            cache.redis?.prefix = prefix
        }
        section.finish()
    }

    func modelCache(_ node: Node, _ name: String) -> Configuration.ModelCache? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        guard section.required("ttl") != nil else { return nil }
        var cache = Configuration.ModelCache(ttl: .seconds(60))
        section.duration("ttl", from: .milliseconds(1), &cache.ttl)
        section.duration("staleWhileRevalidate", from: .zero, &cache.staleWhileRevalidate)
        section.duration("staleIfError", from: .zero, &cache.staleIfError)
        section.unavailable([
            "rows": "remove it; whole requests are cached",
            "warm": "remove it; a new revision begins with an empty cache",
        ])
        return cache
    }
}
