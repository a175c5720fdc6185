import Foundation
import Glibc
import SluiceIO

/// A real `redis-server` at one address, that can be stopped, killed and started again.
final class RedisServer {
    static let program = "/usr/bin/redis-server"
    static let client = "/usr/bin/redis-cli"
    static var isInstalled: Bool {
        [program, client].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// How it is reached.
    enum Transport: CaseIterable { case unix, tcp }

    let url: String
    private let folder: URL
    private let place: [String]
    private let port: UInt16
    private var process: Process?

    init(_ transport: Transport) throws {
        folder = URL(filePath: "/tmp").appending(path: "sluice-egress-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appending(path: "s").path(percentEncoded: false)
        switch transport {
        case .unix:
            port = 0
            place = ["-s", file]
            url = "unix://:secret@\(file)?db=2"
        case .tcp:
            port = try RedisServer.freePort()
            place = ["-p", "\(port)"]
            url = "redis://default:secret@localhost:\(port)/2"
        }
        try start()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(at: folder)
    }

    /// Starts it and waits until it says that it is ready.
    func start() throws {
        let process = Process()
        process.executableURL = URL(filePath: RedisServer.program)
        process.arguments = [
            "--port", "\(port)", "--bind", "127.0.0.1", "--requirepass", "secret", "--save", "",
            "--dir", folder.path(percentEncoded: false),
        ]
        if port == 0 { process.arguments?.append(contentsOf: ["--unixsocket", place[1]]) }
        let log = Pipe()
        process.standardOutput = log
        try process.run()
        self.process = process
        var text = ""
        while !text.contains("eady to accept connections") {
            let fragment = log.fileHandleForReading.availableData
            guard !fragment.isEmpty else { throw POSIXError(.ECHILD) }
            text += String(decoding: fragment, as: UTF8.self)
        }
    }

    func signal(_ number: Int32) { _ = Glibc.kill(process?.processIdentifier ?? 0, number) }

    /// SIGKILL: a test's threads block SIGTERM, and a child inherits that.
    func kill() {
        guard let process else { return }
        signal(SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    /// Runs one command by `redis-cli`.
    func command(_ words: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: RedisServer.client)
        process.arguments = place + ["-a", "secret", "--no-auth-warning"] + words
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
    }

    /// A port that was free a moment ago: `redis-server` can't be given port 0.
    private static func freePort() throws -> UInt16 {
        let kernel = try LinuxKernel()
        let descriptor = try kernel.listen(
            on: .loopback(port: 0),
            backlog: 1,
            sharesPort: false
        )
        defer { kernel.close(descriptor) }
        return kernel.localPort(of: descriptor)
    }
}
