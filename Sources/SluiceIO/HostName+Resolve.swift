package import SluiceCore

extension HostName {
    /// All addresses in the system's order (RFC 6724), by `getaddrinfo`; at least one.
    ///
    /// Blocks for as long as name servers take, which may be many seconds: not for a thread that
    /// serves.
    package func resolve() throws(KernelFailure) -> [SocketAddress] {
        if isSocketFile { return [.unix(path: host)] }
        let found = try SocketAddress.resolve(host: host, port: port)
        guard !found.isEmpty else {
            throw KernelFailure(call: "getaddrinfo \(host)", code: 0, text: "it has no address")
        }
        return found
    }
}
