import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceTelemetry

extension Worker.Shared {
    /// What the workers of a simulated gateway share; a scene gives what it looks at.
    static func simulated(
        store: MetricStore = MetricStore(),
        accessLog: AccessChannel? = nil,
        connectionCount: ConnectionCount = ConnectionCount(maximum: 100),
        readiness: GatewayReadiness = GatewayReadiness(),
        mailboxes: WorkerMailboxes = WorkerMailboxes(),
        cache: ResultCache? = nil,
        offload: (any Offloading)? = nil
    ) -> Worker.Shared {
        Worker.Shared(
            store: store,
            accessLog: accessLog,
            connectionCount: connectionCount,
            readiness: readiness,
            mailboxes: mailboxes,
            cache: cache,
            offload: offload,
            version: "simulated"
        )
    }
}
