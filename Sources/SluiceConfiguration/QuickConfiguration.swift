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
        admin: String? = nil,
        cache: String? = nil,
        redis: String? = nil
    ) throws(QuickFailure) -> Configuration {
        var configuration = Configuration()
        let address = try ListenAddress.of(option: "--listen", listen)
        configuration.listeners = [Listener(address: address, tls: nil)]
        if let admin {
            var given = configuration
            try given.give(admin: admin)
            configuration.admin.address = given.admin.address
        }
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
                    "--redis takes unix:///PATH, redis://HOST:PORT/DB, rediss://… or redis+sentinel://HOST,HOST/MASTER, and goes with --cache"
                )
            }
            configuration.cache.redis = Redis(url: url)
        }
        return configuration
    }

    /// Takes the address of `--admin` over the file's.
    package mutating func give(admin text: String) throws(QuickFailure) {
        let address = try ListenAddress.of(option: "--admin", text)
        if let other = listeners.first(where: { $0.address.clashes(with: address) }) {
            throw QuickFailure(
                "--admin \(address.text) is taken by the listener \(other.address.text); it takes a \(address.isSocketFile ? "socket" : "port") of its own"
            )
        }
        admin.give(address: address)
    }

    private static func backend(_ text: String) throws(QuickFailure) -> Backend {
        let isGRPC = text.hasPrefix("grpc://") || text.hasPrefix("grpc+unix:")
        let plain = isGRPC ? "h2c" + text.dropFirst("grpc".count) : text
        let url: BackendURL
        switch BackendURL.read(plain) {
        case .url(let read): url = read
        case .wrong(let sentence):
            throw QuickFailure("the backend '\(Redaction.value(text))': \(sentence)")
        case .other:
            throw QuickFailure(
                "a backend is http://, h2c://, grpc:// or https:// with HOST:PORT, or unix:///PATH, h2c+unix:///PATH or grpc+unix:///PATH, not '\(Redaction.value(text))'"
            )
        }
        guard !isGRPC || url.path.isEmpty else {
            throw QuickFailure(
                "a backend of gRPC can't have a path ('\(url.path)'), as gRPC has paths of its own"
            )
        }
        return Backend(
            rest: isGRPC ? nil : url,
            grpc: isGRPC || url.scheme == .h2c && url.path.isEmpty ? url : nil,
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
    /// What a text turned out to be.
    package enum Reading: Sendable, Equatable {
        case address(Configuration.ListenAddress)
        /// Meant for a socket's file, and what is wrong with it.
        case wrong(String)
        /// Neither `HOST:PORT` nor `unix:///PATH`.
        case other
    }

    /// Reads `HOST:PORT`, `[IPV6]:PORT` or `unix:///PATH`; a relative path is relative to `folder`.
    package static func read(_ text: String, relativeTo folder: String = ".") -> Reading {
        switch SocketFile.read(text, relativeTo: folder) {
        case .path(let path): .address(Configuration.ListenAddress(host: path, port: 0))
        case .wrong(let sentence): .wrong(sentence)
        case .other: Configuration.ListenAddress(text).map(Reading.address) ?? .other
        }
    }

    /// The address that a command's option says.
    package static func of(
        option: String,
        _ text: String
    ) throws(QuickFailure) -> Configuration.ListenAddress {
        switch read(text) {
        case .address(let address): return address
        case .wrong(let sentence):
            throw QuickFailure("\(option) '\(Redaction.value(text))': \(sentence)")
        case .other:
            throw QuickFailure(
                "\(option) takes HOST:PORT or unix:///PATH, not '\(Redaction.value(text))'"
            )
        }
    }

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
        guard !host.isEmpty, !host.contains(" "), !host.contains("/") else { return nil }
        self.init(host: host, port: port)
    }
}
