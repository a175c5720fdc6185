// Which of a name's addresses are replicas.
//
// A pod or a host with an A and an AAAA record is one replica under two addresses, and nothing in DNS
// says which two belong together. So one family is used: that with more addresses, IPv4 where there
// are as many. Nothing is lost where each replica has both, and none counts twice. A name with one
// address of each family is one host for certain (`localhost` is the usual one): it is reached at
// either address, at IPv4's first.

/// One replica of a name: where it is reached, and where else if not there.
package struct ReplicaAddress: Hashable, Sendable {
    /// What the replica is called by as well.
    package let address: SocketAddress
    /// Tried in this order when connecting to ``address`` fails.
    package let alternates: [SocketAddress]

    /// A replica.
    package init(_ address: SocketAddress, alternates: [SocketAddress] = []) {
        self.address = address
        self.alternates = alternates
    }

    /// The replicas that a name with these addresses stands for, in an order of their own.
    package static func replicas(of addresses: [SocketAddress]) -> [ReplicaAddress] {
        let sorted = Set(addresses).sorted { $0.description < $1.description }
        let (ipv6, others) = (
            sorted.filter { $0.family == .ipv6 }, sorted.filter { $0.family != .ipv6 }
        )
        if ipv6.count == 1, others.count == 1 {
            return [ReplicaAddress(others[0], alternates: ipv6)]
        }
        return (ipv6.count > others.count ? ipv6 : others).map { ReplicaAddress($0) }
    }
}
