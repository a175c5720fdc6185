import SluiceIO
import Testing

@Suite("Replicas of a name")
struct ReplicaAddressTests {
    private func addresses(_ hosts: [String]) throws -> [SocketAddress] {
        try hosts.flatMap { try SocketAddress.resolve(host: $0, port: 80) }
    }

    @Test(
        "A replica with an A and an AAAA record is one",
        arguments: [
            (["127.0.0.1", "::1"], ["127.0.0.1"]),
            (["::1", "127.0.0.1"], ["127.0.0.1"]),
            (["::1"], ["::1"]),
            (["fd00::2", "10.0.0.2", "fd00::1", "10.0.0.1"], ["10.0.0.1", "10.0.0.2"]),
            (["fd00::2", "10.0.0.2", "fd00::1"], ["fd00::1", "fd00::2"]),
            (["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"], ["10.0.0.1", "10.0.0.2"]),
            ([], []),
        ]
    )
    func families(hosts: [String], expected: [String]) throws {
        let replicas = ReplicaAddress.replicas(of: try addresses(hosts))
        #expect(replicas.map(\.address.host) == expected)
    }

    @Test("One address of each family is one host, reached at either; of several none can be told")
    func alternates() throws {
        let one = ReplicaAddress.replicas(of: try addresses(["::1", "127.0.0.1"]))
        #expect(one.map { $0.alternates.map(\.host) } == [["::1"]])
        let two = ReplicaAddress.replicas(
            of: try addresses(["fd00::2", "10.0.0.2", "fd00::1", "10.0.0.1"])
        )
        #expect(two.allSatisfy { $0.alternates.isEmpty })
    }
}
