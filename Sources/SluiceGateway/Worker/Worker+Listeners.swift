import SluiceCore
package import SluiceIO
package import SluiceIngress
package import SluiceTLS
import SluiceTelemetry

// The sockets that a worker accepts on, from their opening to the drain.
extension Worker {
    /// Opens one listening socket and accepts on it; returns where.
    package func listen(
        on address: SocketAddress,
        name: String,
        tls: TLSServerContext?,
        limits: IngressLimits,
        crossOrigin: CrossOriginPolicy? = nil
    ) throws(KernelFailure) -> SocketAddress {
        let http1 = shared.store.gauge(GatewayMetrics.connections, [name, "http1"])
        let http2 = shared.store.gauge(GatewayMetrics.connections, [name, "http2"])
        let refused = shared.store.counter(GatewayMetrics.connectionsRefused, [name, "limit"])
        let failed = shared.store.counter(GatewayMetrics.connectionsRefused, [name, "handshake"])
        let outOfDescriptors = shared.store.counter(
            GatewayMetrics.connectionsRefused,
            [name, "descriptors"]
        )
        let crowded = shared.store.counter(GatewayMetrics.connectionsRefused, [name, "address"])
        let evictedIdle = shared.store.counter(GatewayMetrics.connectionsShed, [name])
        let abuse = AbuseMetrics(store: shared.store, listener: name)
        let listener = try IngressListener(
            loop: loop,
            arena: arena,
            address: address,
            name: name,
            tls: tls,
            limits: limits,
            crossOrigin: crossOrigin,
            count: shared.connectionCount,
            handler: self
        ) { [shard] event in
            switch event {
            case .openedHTTP1: shard.add(http1, 1)
            case .openedHTTP2: shard.add(http2, 1)
            case .closedHTTP1: shard.add(http1, -1)
            case .closedHTTP2: shard.add(http2, -1)
            case .refused: shard.add(refused)
            case .outOfDescriptors: shard.add(outOfDescriptors)
            case .crowded: shard.add(crowded)
            case .evictedIdle: shard.add(evictedIdle)
            case .handshakeFailed: shard.add(failed)
            case .abused(let reason): if let counter = abuse[reason] { shard.add(counter) }
            }
        }
        listeners.append(listener)
        if crossOrigin != nil { mindsOrigins = true }
        listener.start()
        return listener.address ?? address
    }

    /// Gives every listener of that name another certificate for connections to come.
    package func replaceCertificates(of name: String, with tls: TLSServerContext) {
        for listener in listeners where listener.name == name { listener.use(tls) }
    }

    /// Winds connections down; `isFinal` stops accepting and takes no new requests.
    package func drain(isFinal: Bool) {
        for listener in listeners { listener.drain(isFinal: isFinal) }
        cacheWarmer?.close()
    }
}
