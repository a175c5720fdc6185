package import ArgumentParser
private import Glibc
import SluiceConfiguration
import SluiceCore
import SluiceIO
import SluiceSampleModels

/// The `sluice-model` command: small real models for demos, tests and benchmarks.
package struct SampleModelCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "sluice-model",
        abstract: "Serves small real models over V1, V2 and gRPC, all on each port.",
        discussion: """
            Models: `iris` (logistic regression on Fisher's data; --revision v1 or v2 differ in their
            training) and `echo` (gives back what it gets). GET /metrics counts predictions.
            """,
        version: Sluice.versionText
    )

    @Option(name: .long, help: "Where to listen; port 0 lets the kernel choose.")
    var listen = "127.0.0.1:8001"

    @Option(name: .long, help: "A second address, if gRPC is to have a port of its own.")
    var grpcListen: String?

    @Option(name: .long, help: "Which training of iris: v1 or v2.")
    var revision = IrisModel.Revision.v1

    @Option(name: .long, help: "Time one prediction takes, e.g. 5ms.")
    var delay = TimeArgument(.zero)

    @Option(name: .long, help: "Up to so much more, at random.")
    var jitter = TimeArgument(.zero)

    @Option(name: .long, help: "The share of predictions that fail, from 0 to 1.")
    var failRate = 0.0

    @Option(name: .long, help: "Predictions at once, the rest in line as on a GPU; 0 is no limit.")
    var concurrency = 0

    @Option(name: .long, help: "Time after the start during which the models are not ready.")
    var unreadyFor = TimeArgument(.zero)

    @Option(name: .long, help: "A file to append each prediction's x-request-id to, as it begins.")
    var journal: String?

    package init() {}

    /// Parses the process's arguments and serves.
    package static func start() {
        Terminal.showLinesAsTheyCome()
        main()
    }

    package func validate() throws {
        guard (0...1).contains(failRate) else {
            throw ValidationError("--fail-rate goes from 0 to 1")
        }
        guard concurrency >= 0 else { throw ValidationError("--concurrency can't be negative") }
    }

    package func run() throws {
        _ = signal(SIGPIPE, SIG_IGN)
        // The kernel lets no signal of default action end the first process of a container.
        if getpid() == 1 {
            for number in [SIGTERM, SIGINT] { _ = signal(number) { _exit(128 + $0) } }
        }
        _ = Machine.raiseDescriptorLimit()
        var options = SampleServerOptions()
        options.delay = delay.duration
        options.jitter = jitter.duration
        options.failRate = failRate
        options.concurrency = concurrency
        options.unreadyFor = unreadyFor.duration
        do throws(KernelFailure) {
            if let journal { options.journal = try PredictionJournal(path: journal) }
            let loop = EventLoop(kernel: try LinuxKernel())
            let server = SampleServer(
                loop: loop,
                service: SampleService(
                    models: [IrisModel(revision), EchoModel()],
                    version: revision.rawValue
                ),
                options: options,
                seed: UInt64(bitPattern: loop.kernel.wallClock())
            )
            for text in [listen, grpcListen].compactMap({ $0 }) {
                let wanted: Configuration.ListenAddress
                do throws(QuickFailure) {
                    wanted = try .of(option: "--listen", text)
                } catch {
                    throw KernelFailure(call: "listen", code: 0, text: error.sentence)
                }
                let bound = try SocketAddress.listen(atEach: try wanted.name.resolve()) {
                    address throws(KernelFailure) in
                    try server.listen(on: address)
                }
                for address in bound {
                    Terminal.complain("sluice-model: revision \(revision.rawValue) on \(address)")
                }
            }
            loop.run(name: "sluice-model")
        } catch {
            Terminal.complain("sluice-model: \(error.description)")
            throw ExitCode(1)
        }
    }
}

extension IrisModel.Revision: ExpressibleByArgument {}

/// A time on the command line: `250ms`, `30s`, `5m`.
package struct TimeArgument: ExpressibleByArgument, Sendable {
    let duration: Duration

    package init?(argument: String) {
        guard let duration = Configuration.duration(argument) else { return nil }
        self.duration = duration
    }

    init(_ duration: Duration) { self.duration = duration }
}
