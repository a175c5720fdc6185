private import Glibc

extension SocketAddress {
    /// Listens at each of a name's addresses by `listen`, which says where it does; returns where.
    ///
    /// The port that the kernel chooses for the first is the others' as well. An address that isn't
    /// this machine's, as `::1` where there is no IPv6, is passed over where another will do.
    package static func listen(
        atEach addresses: [SocketAddress],
        by listen: (SocketAddress) throws(KernelFailure) -> SocketAddress
    ) throws(KernelFailure) -> [SocketAddress] {
        var bound: [SocketAddress] = []
        var absent: KernelFailure?
        for address in addresses {
            do throws(KernelFailure) {
                bound.append(try listen(address.with(port: bound.first?.port ?? address.port)))
            } catch {
                guard error.code == EADDRNOTAVAIL || error.code == EAFNOSUPPORT else { throw error }
                absent = error
            }
        }
        if bound.isEmpty, let absent { throw absent }
        return bound
    }
}
