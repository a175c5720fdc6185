import SluiceConfiguration

/// The names by which the admin API may be read.
///
/// A stranger's page may give a name of its own our address (DNS rebinding): to the browser we are then
/// that page's own server, and it may read what we answer. So a name counts that can't be bought: an address,
/// a name of one label, one below a domain for private networks (RFC 6762, RFC 6761, ICANN's `internal`,
/// Kubernetes' own), or the one that the configuration listens on.
package enum HostName {
    private static let privateDomains = [".localhost", ".local", ".internal", ".svc"]

    /// Whether an authority is ours for all that a browser can be told.
    package static func isOurs(_ authority: String, admin: String) -> Bool {
        guard !authority.isEmpty, !isAddress(authority) else { return true }
        guard let name = host(of: authority) else { return false }
        return !name.contains(".") || name == admin.lowercased()
            || privateDomains.contains { name.hasSuffix($0) }
    }

    /// Whether an authority is `localhost` or an address, with or without a port.
    package static func isAddress(_ authority: String) -> Bool {
        guard let host = host(of: authority) else { return false }
        return host == "localhost" || host.contains(":")
            || host.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") }
    }

    /// The host in lower case, without the port and the root's dot.
    private static func host(of authority: String) -> String? {
        let address =
            Configuration.ListenAddress(authority) ?? Configuration.ListenAddress("\(authority):0")
        guard let host = address?.host.lowercased() else { return nil }
        return host.hasSuffix(".") ? String(host.dropLast()) : host
    }
}
