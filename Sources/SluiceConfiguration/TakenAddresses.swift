import Yams

/// The addresses that a configuration listens on, so that none is named twice.
struct TakenAddresses {
    private var taken: [(address: Configuration.ListenAddress, name: String)] = []

    /// Notes an address; one that another key has taken is a finding.
    ///
    /// Port 0 is any free one. `0.0.0.0` takes the port of every IPv4 address, and `[::]` that of every IPv6 one.
    mutating func take(
        _ address: Configuration.ListenAddress,
        _ name: String,
        _ node: Node,
        _ findings: Findings
    ) {
        defer { taken.append((address, name)) }
        guard let other = taken.first(where: { $0.address.clashes(with: address) }) else { return }
        findings.add(
            "`\(name)`: \(address.text) is taken by `\(other.name)` (\(other.address.text)); it takes a \(address.isSocketFile ? "socket" : "port") of its own",
            at: node.mapping?["address"] ?? node
        )
    }
}

extension Configuration.ListenAddress {
    /// Whether no two sockets can have both; port 0 is any free one.
    func clashes(with other: Configuration.ListenAddress) -> Bool {
        if isSocketFile || other.isSocketFile { return self == other }
        guard port == other.port, port != 0 else { return false }
        let (one, other) = (boundHost, other.boundHost)
        guard one != other else { return true }
        guard one.contains(":") == other.contains(":") else { return false }
        return ["0.0.0.0", "::"].contains { $0 == one || $0 == other }
    }

    private var boundHost: String {
        host.lowercased() == "localhost" ? "127.0.0.1" : host.lowercased()
    }
}
