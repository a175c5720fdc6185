extension SocketAddress {
    /// Whose address it is, as a number: an IPv4 address, or the first 64 bits of an IPv6 one, all of
    /// whose others are one customer's to use (RFC 6177); nil for a Unix socket.
    ///
    /// IPv4 in IPv6 (`::ffff:192.0.2.1`) is IPv4.
    package var network: UInt64? {
        func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
            bytes.reduce(0) { $0 << 8 | UInt64($1) }
        }
        switch family {
        case .unix: return nil
        case .ipv4: return number(bytes[...])
        case .ipv6:
            let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] & bytes[11] == 0xFF
            return number(isMapped ? bytes[12...] : bytes[..<8])
        }
    }
}
