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
        guard address.port != 0,
            let other = taken.first(where: { TakenAddresses.clash($0.address, address) })
        else { return }
        findings.add(
            "`\(name)`: \(address.text) is taken by `\(other.name)` (\(other.address.text)); it takes a port of its own",
            at: node.mapping?["address"] ?? node
        )
    }

    private static func clash(
        _ one: Configuration.ListenAddress,
        _ other: Configuration.ListenAddress
    ) -> Bool {
        guard one.port == other.port else { return false }
        let (one, other) = (host(one), host(other))
        guard one != other else { return true }
        guard one.contains(":") == other.contains(":") else { return false }
        return ["0.0.0.0", "::"].contains { $0 == one || $0 == other }
    }

    private static func host(_ address: Configuration.ListenAddress) -> String {
        address.host.lowercased() == "localhost" ? "127.0.0.1" : address.host.lowercased()
    }
}
