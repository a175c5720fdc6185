import SluiceGateway
import SluiceTelemetry

// What probes find, in the log.
extension EventLog {
    /// Says that a revision's share goes to others, or that it is its own again.
    func write(_ notice: SpilloverWatch.Notice) {
        write(
            notice.isSpillingOver ? .warning : .info,
            notice.isSpillingOver
                ? "a revision has no healthy backend; others take its share"
                : "a revision takes its share again",
            [("model", notice.model), ("revision", notice.revision)]
        )
    }

    /// Says why a backend counts as down, or that it is well again.
    func write(_ complaint: HealthProbe.Complaint) {
        let place: [(StaticString, String)] = [
            ("model", complaint.model), ("revision", complaint.revision),
            ("backend", complaint.backend.label),
        ]
        if let reason = complaint.reason {
            write(.warning, "a backend fails its probe", place + [("reason", reason)])
        } else {
            write(.info, "a backend is well again", place)
        }
    }
}
