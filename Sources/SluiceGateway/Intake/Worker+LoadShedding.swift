package import SluiceBalancing
import SluiceIngress
import SluiceTelemetry

// Load shedding: while the process is short of memory, new requests are refused and listeners hold
// back new connections.
extension Worker {
    /// Does what the pressure on the process's memory asks for; called when it changes.
    package func use(_ level: MemoryPressure.Level) {
        isShedding = level == .critical
        for listener in listeners { listener.hold(level > .none) }
    }

    /// Refuses a request because the process is short of memory.
    @inline(never)
    func shedLoad(_ request: Request) {
        let model =
            unsafe request.pointee.model?._withUnsafeGuaranteedRef { $0.plan.name } ?? "-"
        shard.add(shared.store.counter(GatewayMetrics.rejected, [model, "-", "overload"]))
        unsafe replyWithError(request, .shortOfMemory)
    }
}
