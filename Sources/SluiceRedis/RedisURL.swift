import SluiceCore

/// Where a Redis is and who we are to it, as one writes it in a configuration.
///
/// ```
/// redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]
/// rediss://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]     over TLS
/// unix://[[USER]:PASSWORD@]/PATH[?db=DATABASE]
/// redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/MASTER[/DATABASE]
/// rediss+sentinel://…                                   over TLS, to the Sentinels as well
/// ```
///
/// As redis-cli and redis-py read them; characters that mean something in a URL are written `%XX`
/// (RFC 3986 §2.1).
package struct RedisURL: Hashable, Sendable, CustomStringConvertible {
    /// Where to connect.
    package enum Place: Hashable, Sendable {
        /// A name or a numeric address, and a port.
        case host(String, port: UInt16)
        /// A socket file.
        case path(String)
        /// Where the Sentinels say that the master of that name is.
        case sentinels([Sentinel], master: String)
    }

    /// One Sentinel; its port is 26379 unless said.
    package struct Sentinel: Hashable, Sendable, CustomStringConvertible {
        package let host: String
        package let port: UInt16

        /// A Sentinel at a name or a numeric address.
        package init(host: String, port: UInt16 = 26379) {
            self.host = host
            self.port = port
        }

        package var description: String {
            host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    /// Sentinels that may be named.
    private static let sentinelsMaximum = 16

    /// Where to connect.
    package let place: Place
    /// The ACL user, if one is named.
    package let user: String?
    /// The password, if there is one.
    package let password: String?
    /// The database to select.
    package let database: Int
    /// Whether it is spoken to over TLS.
    package let isSecure: Bool

    /// Takes a URL apart; nil when it is none of these forms.
    package init?(_ text: String) {
        let rest: Substring
        let isUnix = text.hasPrefix("unix://")
        isSecure = text.hasPrefix("rediss")
        let schemes = [
            "unix://", "redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://",
        ]
        guard let scheme = schemes.first(where: { text.hasPrefix($0) }) else { return nil }
        rest = text.dropFirst(scheme.count)
        // What comes before the first slash may name a user; a path may well hold an `@`.
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        var authority = rest[..<slash]
        let path = rest[slash...]
        if let at = authority.lastIndex(of: "@") {
            let names = authority[..<at].split(
                separator: ":",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            guard names.count == 2, let user = PercentEncoding.decoded(names[0]),
                let password = PercentEncoding.decoded(names[1]), !password.isEmpty
            else { return nil }
            self.user = user.isEmpty ? nil : user
            self.password = password
            authority = authority[authority.index(after: at)...]
        } else {
            (user, password) = (nil, nil)
        }
        if isUnix {
            let parts = path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            guard authority.isEmpty, let first = parts.first, first.count > 1,
                let file = PercentEncoding.decoded(first)
            else { return nil }
            place = .path(file)
            guard parts.count == 2 else {
                database = 0
                return
            }
            guard parts[1].hasPrefix("db="), let number = RedisURL.number(parts[1].dropFirst(3))
            else { return nil }
            database = number
        } else if scheme.hasSuffix("+sentinel://") {
            guard let (place, number) = RedisURL.sentinels(authority, path) else { return nil }
            self.place = place
            database = number
        } else {
            guard let place = RedisURL.host(authority),
                let number = path.count <= 1 ? 0 : RedisURL.number(path.dropFirst())
            else { return nil }
            self.place = place
            database = number
        }
    }

    /// `HOST,HOST:PORT…` and `/MASTER` or `/MASTER/DATABASE`.
    private static func sentinels(_ authority: Substring, _ path: Substring) -> (Place, Int)? {
        let hosts = authority.split(separator: ",", omittingEmptySubsequences: false)
        var sentinels: [Sentinel] = []
        for text in hosts {
            guard case .host(let host, let port) = host(text, port: 26379) else { return nil }
            sentinels.append(Sentinel(host: host, port: port))
        }
        var parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2, parts[1].isEmpty { parts.removeLast() }
        guard sentinels.count <= sentinelsMaximum, Set(sentinels).count == sentinels.count,
            (1...2).contains(parts.count), let master = PercentEncoding.decoded(parts[0]),
            !master.isEmpty,
            !master.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }),
            let database = parts.count == 2 ? number(parts[1]) : 0
        else { return nil }
        return (.sentinels(sentinels, master: master), database)
    }

    /// `NAME`, `NAME:PORT`, `[IPv6]` or `[IPv6]:PORT`; the port is 6379 unless said.
    private static func host(_ text: Substring, port: UInt16 = 6379) -> Place? {
        var name = text
        var rest = text[text.endIndex...]
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { return nil }
            name = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
        } else if let colon = text.firstIndex(of: ":") {
            name = text[..<colon]
            rest = text[colon...]
        }
        guard !name.isEmpty else { return nil }
        guard !rest.isEmpty else { return .host(String(name), port: port) }
        guard rest.first == ":", let number = number(rest.dropFirst()),
            let port = UInt16(exactly: number), port > 0
        else { return nil }
        return .host(String(name), port: port)
    }

    private static func number(_ text: Substring) -> Int? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }

    /// The URL without the password, for logs.
    package var description: String {
        switch place {
        case .host(let name, let port):
            let host = name.contains(":") ? "[\(name)]" : name
            return "\(isSecure ? "rediss" : "redis")://\(host):\(port)/\(database)"
        case .sentinels(let sentinels, let master):
            let hosts = sentinels.map(\.description).joined(separator: ",")
            return "\(isSecure ? "rediss" : "redis")+sentinel://\(hosts)/\(master)/\(database)"
        case .path(let file): return "unix://\(file)" + (database == 0 ? "" : "?db=\(database)")
        }
    }
}
