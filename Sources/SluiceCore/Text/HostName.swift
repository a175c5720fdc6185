/// A host and a port as configuration has them: a name that is looked up, or a numeric address.
package struct HostName: Hashable, Sendable {
    /// A DNS name, a name of the hosts file, or a numeric address without brackets.
    package let host: String
    package let port: UInt16

    /// A host as written.
    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `HOST:PORT`, IPv6 addresses in brackets.
    package var text: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether the host is an address already, so that nothing has to be asked.
    package var isNumeric: Bool {
        if host.contains(":") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                part.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt8(part) != nil
            }
    }
}
