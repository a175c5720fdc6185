import Foundation
import SluiceCore
import SluiceWire

/// How far warm-ups are, on a terminal, while a call waits for them.
struct WarmingScreen {
    private let client: AdminClient
    /// The model's path in the admin API.
    private let path: String
    /// Revisions without traffic, which may be warmed.
    private let cold: [String]

    /// - Parameters:
    ///   - client: what asks how far they are.
    ///   - path: the model's path in the admin API.
    ///   - before: the model's state before the call.
    init(_ client: AdminClient, _ path: String, _ before: JSONValue) {
        self.client = client
        self.path = path
        cold = (before["revisions"]?.elements ?? []).filter { $0["traffic"]?.double == 0 }
            .compactMap { $0["name"]?.text }
    }

    /// Makes the call, and shows progress until it is answered.
    func during(
        _ call: () throws(HTTPClient.Failure) -> JSONValue
    ) throws(HTTPClient.Failure) -> JSONValue {
        guard !cold.isEmpty, isatty(STDERR_FILENO) == 1 else { return try call() }
        let isOver = Flag()
        // Constants only.
        let screen = Confined(self)
        let thread = Thread {
            var isShown = false
            while !isOver.wait(seconds: 0.3) {
                let line = screen.value.line
                if !line.isEmpty || isShown { screen.value.show(line) }
                isShown = !line.isEmpty
            }
            if isShown { screen.value.show("") }
            isOver.acknowledge()
        }
        thread.start()
        defer { isOver.raise() }
        return try call()
    }

    private var line: String {
        cold.compactMap { name -> String? in
            let path = "\(self.path)/revisions/\(AdminClient.segment(name))/warm"
            guard let state = try? client.call("GET", path), state["state"]?.text == "warming"
            else { return nil }
            let counts = ["answered", "failed", "skipped"].map { state[$0]?.integer ?? 0 }
            return
                "warming \(name): \(counts.reduce(0, +)) of \(state["inputs"]?.integer ?? 0) inputs"
        }.joined(separator: ", ")
    }

    /// Replaces the line that the cursor is on.
    private func show(_ line: String) {
        FileHandle.standardError.write(Data("\r\u{1B}[K\(line)".utf8))
    }
}

/// Something that one thread says once and another waits for.
private final class Flag: Sendable {
    private let raised = DispatchSemaphore(value: 0)
    private let acknowledged = DispatchSemaphore(value: 0)

    /// Waits until it is raised or the time is over; whether it is raised.
    func wait(seconds: Double) -> Bool { raised.wait(timeout: .now() + seconds) == .success }

    func acknowledge() { acknowledged.signal() }

    /// Raises it, and waits until the other thread has seen that.
    func raise() {
        raised.signal()
        acknowledged.wait()
    }
}
