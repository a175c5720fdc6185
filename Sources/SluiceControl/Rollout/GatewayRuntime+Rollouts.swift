import SluiceCore
import SluiceGateway
import SluiceRouting
import SluiceTelemetry

// How rollouts hang in the gateway: a driver on the control loop, looked after by its timer, told by
// the coordinator of others' shifts, and shown in metrics.
extension GatewayRuntime {
    static func rollouts(
        of coordinator: ChangeCoordinator,
        on control: ControlLoop,
        _ store: MetricStore
    ) -> Confined<RolloutDriver> {
        let driver = control.run { loop in
            let host = GatewayRolloutHost(loop: loop, coordinator: coordinator, store: store)
            return Confined(RolloutDriver(host: host, states: coordinator.rollouts))
        }
        control.repeatedly(every: RolloutDriver.period) { driver.value.tick() }
        coordinator.observe { event in
            guard event.kind == .traffic, event.who != GatewayRolloutHost.author,
                let model = event.model
            else { return }
            control.submit { driver.value.weightsMoved(model: model, by: event.who) }
        }
        store.collect { sink in
            for (model, view) in coordinator.rollouts.all {
                let labels = [model, view.record.plan.revision]
                sink.gauge(GatewayMetrics.canaryWeight, labels, value: Double(view.weight) / 100)
                sink.gauge(GatewayMetrics.canaryStatus, labels, value: number(view.record.status))
            }
        }
        return driver
    }

    private static func number(_ status: RolloutStatus) -> Double {
        switch status {
        case .progressing: 0
        case .promoted: 1
        case .rolledBack: 2
        case .paused: 3
        }
    }
}
