package import ArgumentParser

/// The `sluice` command.
package struct Sluice: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "sluice",
        abstract: "A model-serving inference gateway: REST V1 and V2 and gRPC on one port.",
        discussion: """
            Try it:
              sluice demo
              sluice serve --model iris=http://127.0.0.1:8001
              sluice predict iris --data '{"instances":[[5.1,3.5,1.4,0.2]]}'
            """,
        version: Sluice.versionText,
        subcommands: [
            ServeCommand.self, CheckCommand.self, DemoCommand.self, PredictCommand.self,
            StatusCommand.self, TopCommand.self, TrafficCommand.self, CanaryCommand.self,
        ]
    )

    /// The version of this build.
    package static let versionText = "0.1.0"

    package init() {}

    /// Parses the process's arguments and runs what they ask for.
    ///
    /// What can't be parsed is quoted, so that it must not show passwords: as ``ParsableCommand/main()``
    /// does it, but for that.
    package static func start() {
        Terminal.showLinesAsTheyCome()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            let code = exitCode(for: error)
            // Help and the version aren't errors, and go to stdout as ever.
            guard code != .success, !(error is ExitCode) else { exit(withError: error) }
            let message = fullMessage(for: error)
            if !message.isEmpty { Terminal.complain(message) }
            exit(withError: code)
        }
    }
}
