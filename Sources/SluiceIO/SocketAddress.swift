private import CLinux
private import SluiceCore

/// Where a socket listens or connects to.
package struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    enum Family: Int32, Sendable {
        case unix = 1
        case ipv4 = 4
        case ipv6 = 6
    }

    let family: Family
    /// 4 or 16 address bytes, or the bytes of a path.
    let bytes: [UInt8]
    /// The port; 0 lets the kernel choose (listening), or for a Unix socket.
    package let port: UInt16

    init(family: Family, bytes: [UInt8], port: UInt16) {
        self.family = family
        self.bytes = bytes
        self.port = port
    }

    /// The socket file at `path`.
    package static func unix(path: String) -> SocketAddress {
        SocketAddress(family: .unix, bytes: Array(path.utf8), port: 0)
    }

    /// Whether it is a socket file, which has no port.
    package var isUnix: Bool { family == .unix }

    /// The IPv4 loopback address.
    package static func loopback(port: UInt16) -> SocketAddress {
        SocketAddress(family: .ipv4, bytes: [127, 0, 0, 1], port: port)
    }

    /// The same host at another port.
    package func with(port: UInt16) -> SocketAddress {
        SocketAddress(family: family, bytes: bytes, port: port)
    }

    /// Looks a host up: a numeric address or a name, by `getaddrinfo`.
    ///
    /// In the system's order (RFC 6724), at most 1,024. Blocks; for startup and control threads.
    package static func resolve(
        host: String,
        port: UInt16
    ) throws(KernelFailure)
        -> [SocketAddress]
    {
        let maximum = 1_024
        var records = [UInt8](repeating: 0, count: 17 * maximum)
        let count = unsafe host.withCString { name in
            unsafe records.withUnsafeMutableBufferPointer { buffer in
                unsafe clinux_resolve(name, buffer.baseAddress, Int32(maximum))
            }
        }
        guard count >= 0 else {
            let reason = unsafe String(cString: clinux_resolve_failure(count))
            throw KernelFailure(call: "getaddrinfo \(host)", code: 0, text: reason)
        }
        var found: [SocketAddress] = []
        var known: Set<SocketAddress> = []
        for index in 0..<Int(count) {
            let record = records[(17 * index)..<(17 * index + 17)]
            guard let kind = record.first, let family = Family(rawValue: Int32(kind)) else {
                continue
            }
            let length = family == .ipv4 ? 4 : 16
            let address = SocketAddress(
                family: family,
                bytes: Array(record.dropFirst().prefix(length)),
                port: port
            )
            if known.insert(address).inserted { found.append(address) }
        }
        return found
    }

    /// The path of a socket file; empty for a peer that has bound none.
    var path: String { family == .unix ? String(decoding: bytes, as: UTF8.self) : "" }

    /// `127.0.0.1:8080`, `[::1]:8080` or `unix:///PATH`.
    package var description: String {
        switch family {
        case .unix: bytes.isEmpty ? "unix:" : SocketFile.text(of: path)
        case .ipv4, .ipv6: family == .ipv4 ? "\(host):\(port)" : "[\(host)]:\(port)"
        }
    }

    /// The address without its port; of a Unix socket `unix:` and its path, which a client's mostly has
    /// none of.
    package var host: String {
        switch family {
        case .unix: description
        case .ipv4: bytes.map(String.init).joined(separator: ".")
        case .ipv6: SocketAddress.ipv6Text(bytes)
        }
    }

    /// RFC 5952: the longest run of zero groups becomes `::`.
    private static func ipv6Text(_ bytes: [UInt8]) -> String {
        let groups = stride(from: 0, to: 16, by: 2).map {
            UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])
        }
        var (bestStart, bestLength) = (0, 0)
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > bestLength { (bestStart, bestLength) = (start, end - start) }
            start = max(end, start + 1)
        }
        let text = { (part: ArraySlice<UInt16>) in
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard bestLength > 1 else { return text(groups[...]) }
        return text(groups[..<bestStart]) + "::" + text(groups[(bestStart + bestLength)...])
    }
}
