import SluiceTelemetry

/// The families that the admin port counts in.
enum AdminMetrics {
    static let streamListeners = MetricFamily.gauge(
        "sluice_stream_listeners",
        help: "Pages and scripts that listen to /api/v1/stream."
    )
    static let streamFramesSkipped = MetricFamily.counter(
        "sluice_stream_frames_skipped_total",
        help: "Frames of the stream that a listener was too slow for."
    )
    static let streamBytes = MetricFamily.counter(
        "sluice_stream_bytes_total",
        help: "Bytes of frames and events that listeners of /api/v1/stream were sent."
    )
}
