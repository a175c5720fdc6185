import ArgumentParser
import Foundation
import SluiceConfiguration
import SluiceControl
import SluiceCore
import SluiceGRPC
import SluiceIO
import SluiceInference
import SluiceSampleModels

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Shows it working: two revisions of a model behind a gateway on 8080 and 9901.",
        discussion: """
            Sends predictions over REST (HTTP/1.1 and HTTP/2) and gRPC until both revisions have
            answered each way, prints the curl lines to try, and keeps running until Ctrl-C.
            """
    )

    @Flag(name: .long, help: "End after the proof.")
    var once = false

    @Option(name: .long, help: "The gateway's address.")
    var listen = "127.0.0.1:8080"

    @Option(name: .long, help: "The admin API's address.")
    var admin = "127.0.0.1:9901"

    private static let row = "[5.9,3.0,5.1,1.8]"

    func run() throws {
        GatewayProcess.blockSignals()
        let models = try startModels()
        let configuration = try settings(models)
        // What it shows is at its own address or nowhere.
        let process = try Bootstrap.start(
            configuration,
            file: nil,
            waitsForAdmin: false,
            log: EventLog(isQuiet: true)
        )
        guard process.runtime.waitUntilReady(.seconds(10)) else {
            Terminal.complain("sluice demo: the sample models did not become ready")
            throw ExitCode(1)
        }
        print(
            "Two revisions of the model `iris` run, v1 with 50 % of the traffic and v2 with 50 %."
        )
        print("One gateway balances over them on \(listen). The same flower, three ways:\n")
        do throws(HTTPClient.Failure) {
            for way in Way.allCases { try prove(way) }
            try showCache()
            try showMetrics(process)
        } catch {
            Terminal.complain("sluice demo: \(error.sentence)")
            throw ExitCode(1)
        }
        if once {
            process.stop()
            return
        }
        printInvitation()
        process.waitForSignals()
    }

    // MARK: - The cast

    /// Two model servers on ports the kernel chooses, each on a thread of its own.
    private func startModels() throws -> [SocketAddress] {
        var addresses: [SocketAddress] = []
        for revision in IrisModel.Revision.allCases {
            do throws(KernelFailure) {
                addresses.append(try ModelThread.start(revision))
            } catch {
                Terminal.complain("sluice demo: \(error.description)")
                throw ExitCode(1)
            }
        }
        return addresses
    }

    private func settings(_ models: [SocketAddress]) throws -> Configuration {
        var lines = [
            "listeners: [{address: \"\(listen)\"}]", "admin: {address: \"\(admin)\"}",
            "workers: 2", "accessLog: off", "models:", "  - name: iris", "    cache: {ttl: 60s}",
            "    revisions:",
        ]
        for (index, address) in models.enumerated() {
            lines.append(
                "      - {name: v\(index + 1), traffic: 50, backends: [{rest: \"http://\(address)\", grpc: \"http://\(address)\"}]}"
            )
        }
        do throws(ConfigurationFailure) {
            return try Configuration.parse(yaml: lines.joined(separator: "\n"), file: "demo")
        } catch {
            for diagnostic in error.diagnostics { Terminal.complain(diagnostic.message) }
            throw ExitCode(64)
        }
    }

    // MARK: - The proof

    private enum Way: CaseIterable {
        case http1, http2, grpc

        var title: String {
            switch self {
            case .http1: "REST V1 over HTTP/1.1"
            case .http2: "REST V2 over HTTP/2"
            case .grpc: "gRPC ModelInfer"
            }
        }
    }

    /// Asks until both revisions have answered; with even shares, 64 tries failing is one in 2^63.
    private func prove(_ way: Way) throws(HTTPClient.Failure) {
        var seen: [String: String] = [:]
        for _ in 0..<64 where seen.count < 2 {
            let (revision, text) = try ask(way)
            seen[revision] = text
        }
        guard seen.count == 2 else {
            throw HTTPClient.Failure(sentence: "\(way.title): only \(seen.keys.joined()) answered")
        }
        print(way.title)
        for (revision, text) in seen.sorted(by: { $0.key < $1.key }) {
            print("  \(revision)  \(text)")
        }
        print("")
    }

    /// The same question once more: REST and gRPC share what is kept.
    private func showCache() throws(HTTPClient.Failure) {
        print("Asked again, the cache answers")
        for way in [Way.http2, .grpc] {
            let answer = try send(way)
            guard let status = answer.fields["cache-status"], status.hasPrefix("sluice; hit") else {
                throw HTTPClient.Failure(sentence: "\(way.title): not answered from the cache")
            }
            print("  \(way.title): cache-status: \(status)")
        }
        print("")
    }

    private func ask(_ way: Way) throws(HTTPClient.Failure) -> (String, String) {
        let answer = try send(way)
        let body = way == .grpc ? try PredictMessage.json(frame: answer.body) : answer.body
        var text = String(decoding: body, as: UTF8.self)
        guard answer.status == 200, let revision = answer.fields["x-sluice-revision"] else {
            throw HTTPClient.Failure(sentence: "\(way.title): HTTP \(answer.status) \(text)")
        }
        if text.count > 160 { text = text.prefix(157) + "..." }
        return (revision, text)
    }

    private func send(_ way: Way) throws(HTTPClient.Failure) -> HTTPClient.Answer {
        let client = try HTTPClient()
        switch way {
        case .http1:
            return try client.send(
                to: "http://\(listen)",
                method: "POST",
                path: "/v1/models/iris:predict",
                fields: [("content-type", "application/json")],
                body: Array("{\"instances\":[\(DemoCommand.row)]}".utf8)
            )
        case .http2:
            return try client.send(
                to: "h2c://\(listen)",
                method: "POST",
                path: "/v2/models/iris/infer",
                fields: [("content-type", "application/json")],
                body: DemoCommand.v2Body
            )
        case .grpc:
            return try client.send(
                to: "h2c://\(listen)",
                method: "POST",
                path: "/inference.GRPCInferenceService/ModelInfer",
                fields: [("content-type", "application/grpc"), ("te", "trailers")],
                body: try PredictMessage.frame(json: DemoCommand.v2Body, model: "iris")
            )
        }
    }

    private static let v2Body = Array(
        "{\"inputs\":[{\"name\":\"input\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":\(row)}]}"
            .utf8
    )

    private func showMetrics(_ process: GatewayProcess) throws(HTTPClient.Failure) {
        guard let address = process.adminAddress else { return }
        let answer = try HTTPClient().send(
            to: "http://\(address)",
            method: "GET",
            path: "/metrics"
        )
        print("Prometheus has counted them (http://\(address)/metrics):")
        for line in String(decoding: answer.body, as: UTF8.self).split(separator: "\n")
        where line.hasPrefix("sluice_requests_total") { print("  \(line)") }
        print("")
    }

    private func printInvitation() {
        print(
            """
            Try it:
              curl http://\(listen)/v1/models/iris:predict -d '{"instances":[\(DemoCommand.row)]}'
              curl --http2-prior-knowledge http://\(listen)/v2/models/iris/infer -d '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":\(DemoCommand.row)}]}'
              grpcurl -plaintext \(listen) describe inference.GRPCInferenceService
              sluice status

            Ctrl-C ends it.
            """
        )
    }
}

/// A sample model server inside the demo's process.
private enum ModelThread {
    static func start(_ revision: IrisModel.Revision) throws(KernelFailure) -> SocketAddress {
        let kernel = Confined(try LinuxKernel())
        let loop = EventLoop(kernel: kernel.value)
        let server = SampleServer(
            loop: loop,
            service: SampleService(models: [IrisModel(revision)], version: revision.rawValue),
            options: SampleServerOptions(),
            seed: 1
        )
        let address = try server.listen(on: .loopback(port: 0))
        // Made here, used there from now on, and by nobody else.
        let moved = Confined((loop, server))
        _ = LoopThread.start(core: nil) { moved.value.0.run(name: "model-\(revision.rawValue)") }
        return address
    }
}
