import SluiceCore
package import SluiceIO
package import SluiceRedis

/// Where a Redis is, who we are to it, and how long we wait for it.
package struct RedisEndpoint: Sendable {
    /// Where it may be found; tried in turn, from the one that answered last.
    package var addresses: [SocketAddress]
    /// Who we are, and the bounds of the conversation.
    package var settings: RedisSettings
    /// Whom to ask for addresses, password and TLS before each attempt; nil: they stay as they are.
    package var directory: RedisDirectory?
    /// The name that its certificate must have.
    package var serverName = ""
    /// How long an attempt to connect may take at one address, greeting included.
    ///
    /// With the breaker's longest pause well below the two seconds we allow ourselves to notice
    /// that a Redis is back.
    package var attemptTimeout = Duration.milliseconds(500)
    /// A write that finds more bytes waiting for the socket is dropped: look-ups wait behind it.
    package var writeBacklogMaximum = 256 << 10
    /// How long a purge may take.
    package var purgeTimeout = Duration.seconds(60)

    /// Addresses looked at, of those a name has.
    static let addressMaximum = 4

    /// A Redis at `addresses`; there may be none where a directory is to tell them.
    ///
    /// The settings' stall limit becomes 750 ms: a Redis that has said nothing for so long
    /// shall cost no look-up anything after its first second.
    package init(addresses: [SocketAddress], settings: RedisSettings = RedisSettings()) {
        self.addresses = Array(addresses.prefix(RedisEndpoint.addressMaximum))
        self.settings = settings
        self.settings.stallLimit = .milliseconds(750)
    }

    /// A Redis at addresses that `directory` will tell.
    package init(_ url: RedisURL, directory: RedisDirectory) {
        self.init(addresses: [], settings: RedisEndpoint.settings(url))
        self.directory = directory
        switch url.place {
        case .host(let name, _): serverName = name
        case .sentinels: settings.requiresMaster = true
        case .path: break
        }
    }

    /// Looks the host of `url` up by `getaddrinfo`, which blocks: for the control plane's threads.
    package static func resolve(_ url: RedisURL) throws(KernelFailure) -> RedisEndpoint {
        RedisEndpoint(addresses: try addresses(of: url), settings: settings(url))
    }

    /// The addresses of `url`, at least one; blocks.
    package static func addresses(of url: RedisURL) throws(KernelFailure) -> [SocketAddress] {
        let addresses: [SocketAddress] =
            switch url.place {
            case .host(let name, let port): try SocketAddress.resolve(host: name, port: port)
            case .path(let path): [SocketAddress.unix(path: path)]
            // They must be asked.
            case .sentinels: []
            }
        guard !addresses.isEmpty else {
            throw KernelFailure(call: "getaddrinfo \(url)", code: 0, text: "no address")
        }
        return Array(addresses.prefix(addressMaximum))
    }

    private static func settings(_ url: RedisURL) -> RedisSettings {
        var settings = RedisSettings()
        settings.user = url.user
        settings.password = url.password
        settings.database = url.database
        return settings
    }
}
