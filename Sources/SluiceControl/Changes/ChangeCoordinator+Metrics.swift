import SluiceGateway
import SluiceRouting
package import SluiceTelemetry
import Synchronization

// What alerts ask of configuration: is it the file's, all of it? A counter of refusals can't say, for
// it stands still while a broken file waits for its repair.
extension ChangeCoordinator {
    /// Reports whether the file is in force and which models' weights differ from it.
    package func report(to sink: inout MetricSink) {
        let (isFileInForce, plain, snapshot) = state.withLock {
            ($0.isFileInForce, $0.plain, $0.snapshot)
        }
        sink.gauge(ChangeCoordinator.reloadSuccessFamily, [], value: isFileInForce ? 1 : 0)
        for (file, running) in zip(plain.models, snapshot.models) {
            sink.gauge(
                ChangeCoordinator.trafficAdjustedFamily,
                [running.name],
                value: file.split.weights == running.split.weights ? 0 : 1
            )
        }
    }

    private static let reloadSuccessFamily = MetricFamily.gauge(
        "sluice_config_last_reload_successful",
        help:
            "1 if the configuration file was taken over when it was last read, 0 if it was refused."
    )
    private static let trafficAdjustedFamily = MetricFamily.gauge(
        "sluice_traffic_adjusted",
        help: "1 while a model's weights are not those of the configuration file, else 0.",
        labels: ["model"]
    )
}
