/// A host and a port as configuration has them: a name that is looked up, a numeric address, or the
/// path of a Unix socket's file in place of both.
package struct HostName: Hashable, Sendable {
    /// A DNS name, a name of the hosts file, a numeric address without brackets, or a socket's path.
    package let host: String
    /// 0 for a socket's path.
    package let port: UInt16

    /// A host as written.
    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Whether it is a socket's path: no host has a slash.
    package var isSocketFile: Bool { host.utf8.contains(UInt8(ascii: "/")) }

    /// `HOST:PORT`, IPv6 addresses in brackets, or `unix:///PATH`.
    package var text: String {
        if isSocketFile { return SocketFile.text(of: host) }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Whether the host is an address already, so that nothing has to be asked.
    package var isNumeric: Bool {
        if isSocketFile || host.contains(":") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                part.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt8(part) != nil
            }
    }
}
