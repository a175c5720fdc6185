// Consistent hashing: backends stand at many points of a ring, a key belongs to the first point
// clockwise. When a backend goes, its keys alone move. Maglev's table looks up faster and moves
// twice the keys; here a look-up is a binary search over a few thousand words, which is small
// beside a prediction, and keys that move are warm caches lost.
import SluiceCore

/// The ring of one revision's backends.
package struct HashRing: Sendable {
    private let hashes: [UInt64]
    private let owners: [UInt16]
    /// Hosts, those without points among them.
    let hostCount: Int

    // Shares stray by 4 %. Not a part of some total: then every host's points, and with them keys
    // of all, would move when one comes or goes.
    private static let pointsPerHost = 512
    private static let pointsMaximum = 1 << 20

    /// A ring of hosts by name, each with points in proportion to its weight.
    ///
    /// The same names make the same ring in every process. At most 65,536 hosts.
    package init(_ hosts: [(name: String, weight: Int)]) {
        precondition(hosts.count <= 65_536, "a ring numbers its hosts with 16 bits")
        let heaviest = hosts.map(\.weight).max() ?? 1
        var pointsPerHost = HashRing.pointsPerHost
        while pointsPerHost > 16, pointsPerHost * hosts.count > HashRing.pointsMaximum {
            pointsPerHost /= 2
        }
        var points: [(hash: UInt64, owner: UInt16)] = []
        for (number, host) in hosts.enumerated() where host.weight > 0 {
            let seed = StableHash.of(host.name.utf8)
            for replica in 0..<max(1, pointsPerHost * host.weight / max(heaviest, 1)) {
                points.append(
                    (StableHash.mixed(seed &+ UInt64(replica) &* StableHash.step), UInt16(number))
                )
            }
        }
        points.sort { ($0.hash, $0.owner) < ($1.hash, $1.owner) }
        hashes = points.map(\.hash)
        owners = points.map(\.owner)
        hostCount = hosts.count
    }

    /// The hosts in the order in which they follow on the ring, beginning with the key's own; a host
    /// comes again with each of its points, until all points have been passed.
    func hosts(clockwiseOf key: UInt64) -> Walk {
        var (low, high) = (0, hashes.count)
        while low < high {
            let middle = (low + high) / 2
            if hashes[middle] < key { low = middle + 1 } else { high = middle }
        }
        return Walk(owners: owners, place: low)
    }

    struct Walk: Sequence, IteratorProtocol {
        private let owners: [UInt16]
        private var place: Int
        private var left: Int

        init(owners: [UInt16], place: Int) {
            self.owners = owners
            self.place = place
            left = owners.count
        }

        mutating func next() -> Int? {
            guard left > 0 else { return nil }
            left -= 1
            if place >= owners.count { place = 0 }
            defer { place += 1 }
            return Int(owners[place])
        }
    }
}

/// A 64-bit hash that every process and version agrees on.
///
/// FNV-1a, then SplitMix64's finish, which spreads what FNV leaves in the low bits. Not for secrets.
package enum StableHash {
    static let step: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// The hash of these bytes.
    package static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return mixed(hash)
    }

    static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
