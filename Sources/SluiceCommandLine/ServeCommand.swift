import ArgumentParser
import SluiceConfiguration
import SluiceControl

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the gateway in the foreground.",
        discussion: """
            Logs go to stderr, access log lines (JSON) to stdout unless `accessLog` says otherwise.
            SIGTERM or SIGINT drains: readiness goes false, clients are told to go elsewhere,
            requests under way finish. SIGHUP reads the file again and opens the access log's file
            anew, SIGUSR1 does the latter alone.
            """
    )

    @Option(name: .long, help: "The configuration, in YAML.")
    var config: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Instead of a file: a model and its replicas, e.g. iris=http://127.0.0.1:8001,h2c://127.0.0.1:8002.",
            valueName: "NAME=URL,URL…"
        )
    )
    var model: [String] = []

    @Option(name: .long, help: "With --model: where to listen, HOST:PORT or unix:///PATH.")
    var listen = "0.0.0.0:8080"

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where /metrics and the admin API are, instead of the file's `admin.address`; with --model 127.0.0.1:9901 by default.",
            valueName: "ADDRESS"
        )
    )
    var admin: String?

    @Option(
        name: .long,
        help: ArgumentHelp("With --model: how long answers are kept.", valueName: "TIME")
    )
    var cache: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --cache: a second tier, unix:///PATH or redis://HOST:PORT/DB.",
            valueName: "URL"
        )
    )
    var redis: String?

    @Flag(name: .long, help: "With --model: prints the YAML it stands for, and ends.")
    var printConfig = false

    func validate() throws {
        guard (config == nil) != model.isEmpty else {
            throw ValidationError("give either --config FILE or --model NAME=URL,URL…")
        }
    }

    func run() throws {
        let settings = try configuration()
        if printConfig {
            print(settings.yamlText, terminator: "")
            return
        }
        let log = EventLog()
        let process = try Bootstrap.start(settings, file: config, log: log)
        process.waitForSignals()
        log.close()
    }

    private func configuration() throws -> Configuration {
        guard let config else {
            do throws(QuickFailure) {
                var quick = try Configuration.quick(
                    models: model,
                    listen: listen,
                    admin: admin,
                    cache: cache,
                    redis: redis
                )
                if let admin { try quick.give(admin: admin) }
                return quick
            } catch {
                throw ValidationError(error.sentence)
            }
        }
        do {
            var loaded = try Configuration.load(path: config)
            if let admin {
                try loaded.give(admin: admin)
            }
            return loaded
        } catch let error as ConfigurationFailure {
            for diagnostic in error.diagnostics { Terminal.complain("\(diagnostic)") }
            throw ExitCode(1)
        } catch let error as QuickFailure {
            Terminal.complain("sluice serve: \(error.sentence)")
            throw ExitCode(64)
        }
    }
}

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Validates a configuration: silent and 0 if it is good.",
        discussion: """
            Prints FILE:LINE:COLUMN: what is wrong and what would be right, and ends 1.
            With --schema prints the JSON Schema of configurations instead. Editors complete and
            check by it, in VS Code and others with the YAML language server by a first line such as
              # yaml-language-server: $schema=sluice.schema.json
            """
    )

    @Option(name: .long, help: "The configuration, in YAML.")
    var config: String?

    @Flag(name: .long, help: "Prints the JSON Schema of configurations, and ends.")
    var schema = false

    func validate() throws {
        guard (config == nil) == schema else {
            throw ValidationError("give either --config FILE or --schema")
        }
    }

    func run() throws {
        guard let config else {
            print(ConfigurationSchema.text, terminator: "")
            return
        }
        do throws(ConfigurationFailure) {
            _ = try Configuration.load(path: config)
        } catch {
            for diagnostic in error.diagnostics { Terminal.complain("\(diagnostic)") }
            throw ExitCode(1)
        }
    }
}
