import SluiceCore
import SluiceRedis

extension Configuration {
    /// A configuration without a file: models as `NAME=URL,URL…`, each URL one replica.
    ///
    /// `http://` speaks REST over HTTP/1.1, `h2c://` REST and gRPC over cleartext HTTP/2,
    /// `grpc://` gRPC over cleartext HTTP/2, `https://` REST over TLS. With `cache`, a time, every model's answers
    /// are kept, in `redis` as well if that is given. Throws a sentence.
    package static func quick(
        models: [String],
        listen: String,
        admin: String,
        cache: String? = nil,
        redis: String? = nil
    ) throws(QuickFailure) -> Configuration {
        var configuration = Configuration()
        guard let address = ListenAddress(listen) else {
            throw QuickFailure("--listen takes HOST:PORT, not '\(Redaction.value(listen))'")
        }
        configuration.listeners = [Listener(address: address, tls: nil)]
        guard let adminAddress = ListenAddress(admin) else {
            throw QuickFailure("--admin takes HOST:PORT, not '\(Redaction.value(admin))'")
        }
        configuration.admin.address = adminAddress
        for text in models {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                throw QuickFailure("--model takes NAME=URL,URL…, not '\(Redaction.value(text))'")
            }
            let name = String(text[..<equals])
            if name == "-" || name == "other" {
                throw QuickFailure(
                    "a model can't be called '\(name)', as metrics say so for none; choose another name"
                )
            }
            var backends: [Backend] = []
            for part in text[text.index(after: equals)...].split(separator: ",") {
                backends.append(try backend(String(part)))
            }
            guard !backends.isEmpty else {
                throw QuickFailure("model '\(name)' needs at least one URL")
            }
            configuration.models.append(
                Model(
                    name: name,
                    revisions: [
                        Revision(name: "v1", traffic: 10_000, modelName: nil, backends: backends)
                    ]
                )
            )
        }
        if let cache {
            guard let ttl = Units.duration(cache), ttl > .zero else {
                throw QuickFailure(
                    "--cache takes a time such as 60s or 5m, not '\(Redaction.value(cache))'"
                )
            }
            for index in configuration.models.indices {
                configuration.models[index].cache = ModelCache(ttl: ttl)
            }
        }
        if let redis {
            guard let url = RedisURL(redis), cache != nil else {
                throw QuickFailure(
                    "--redis takes unix:///PATH, redis://HOST:PORT/DB or rediss://…, and goes with --cache"
                )
            }
            configuration.cache.redis = Redis(url: url)
        }
        return configuration
    }

    private static func backend(_ text: String) throws(QuickFailure) -> Backend {
        let isGRPC = text.hasPrefix("grpc://")
        let plain = isGRPC ? "h2c://" + text.dropFirst("grpc://".count) : text
        guard let url = BackendURL(plain) else {
            throw QuickFailure(
                "a backend is http://, h2c://, grpc:// or https:// with HOST:PORT, not '\(Redaction.value(text))'"
            )
        }
        return Backend(
            rest: isGRPC ? nil : url,
            grpc: isGRPC || url.scheme == .h2c ? url : nil,
            tls: nil
        )
    }
}

/// Why arguments don't make a configuration.
package struct QuickFailure: Error, Sendable {
    package let sentence: String

    init(_ sentence: String) { self.sentence = sentence }
}

extension Configuration.ListenAddress {
    /// Reads `HOST:PORT` or `[IPV6]:PORT`; nil when it is something else.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(" ") else { return nil }
        self.init(host: host, port: port)
    }
}
