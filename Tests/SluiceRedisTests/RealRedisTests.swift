import Foundation
import Glibc
import SluiceCore
import SluiceRedis
import Testing

/// `redis-server` on a Unix socket of its own, with a password, gone with the object.
final class RealRedis {
    static let program = "/usr/bin/redis-server"
    static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: program) }

    let socketPath: String
    private let folder: URL
    private let process = Process()

    init() throws {
        folder = URL(filePath: "/tmp").appending(path: "sluice-redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        socketPath = folder.appending(path: "s").path(percentEncoded: false)
        process.executableURL = URL(filePath: RealRedis.program)
        process.arguments = [
            "--port", "0", "--unixsocket", socketPath, "--requirepass", "secret", "--save", "",
            "--dir", folder.path(percentEncoded: false),
        ]
        let log = Pipe()
        process.standardOutput = log
        try process.run()
        // The server says when it is ready; no sleeping.
        var text = ""
        while !text.contains("eady to accept connections") {
            let fragment = log.fileHandleForReading.availableData
            guard !fragment.isEmpty else { throw POSIXError(.ECHILD) }
            text += String(decoding: fragment, as: UTF8.self)
        }
    }

    deinit {
        // SIGTERM is of no use: the test's threads block it, and a child inherits that.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: folder)
    }

    func connect() throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { path in
            unsafe path.copyBytes(from: socketPath.utf8.prefix(path.count - 1))
        }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, size)
            }
        }
        guard result == 0 else { throw POSIXError(.ECONNREFUSED) }
        return descriptor
    }
}

@Suite("With a real Redis", .enabled(if: RealRedis.isInstalled, "redis-server isn't installed"))
struct RealRedisTests {
    /// Writes what the session has and reads until `count` more events are there, or the end.
    static func exchange(_ test: RedisTestSession, _ descriptor: Int32, events count: Int) {
        let output = Array(test.written().utf8)
        var sent = 0
        while sent < output.count {
            let written = unsafe output.withUnsafeBytes {
                unsafe send(descriptor, $0.baseAddress.unsafelyUnwrapped + sent, $0.count - sent, 0)
            }
            guard written > 0 else { return }
            sent += written
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while test.events.count < count {
            let got = unsafe buffer.withUnsafeMutableBytes {
                unsafe recv(descriptor, $0.baseAddress, $0.count, 0)
            }
            guard got > 0 else {
                test.session.connectionEnded()
                test.collect()
                return
            }
            test.receive(Array(buffer[..<got]))
        }
    }

    static func settings(password: String?) -> RedisSettings {
        var settings = RedisSettings()
        settings.password = password
        settings.database = 3
        return settings
    }

    @Test(
        "Everything a cache asks for is answered, in order",
        .tags(.integration),
        .timeLimit(.minutes(1))
    )
    func round() throws {
        let redis = try RealRedis()
        let descriptor = try redis.connect()
        defer { close(descriptor) }
        let test = RedisTestSession(RealRedisTests.settings(password: "secret"))
        RealRedisTests.exchange(test, descriptor, events: 1)
        #expect(test.takeEvents() == [.ready])

        let value = Array("a value\r\nof two lines".utf8)
        test.set("p*:1", value, 1)
        test.set("p*:2", [], 2)
        test.set("px:3", value, 3)
        test.get("p*:1", 4)
        test.getMany("p*:1p*:9p*:2", of: 4, 5)
        _ = test.session.scan(
            cursor: "0",
            prefix: "p*:",
            count: 1000,
            token: 6,
            at: .zero,
            deadline: .distantFuture
        )
        RealRedisTests.exchange(test, descriptor, events: 6)
        let events = test.takeEvents()
        #expect(events[..<3] == (1...3).map { RedisEvent.reply(token: $0, .status("OK")) }[...])
        #expect(events[3] == .reply(token: 4, .bytes(value)))
        #expect(events[4] == .reply(token: 5, .array([.bytes(value), .null, .bytes([])])))
        guard case .reply(6, let reply) = events[5], let page = RedisPage(reply) else {
            Issue.record("\(events[5])")
            return
        }
        #expect(page.cursor == "0")
        #expect(
            Set(page.keys) == [Array("p*:1".utf8), Array("p*:2".utf8)],
            "the star in the prefix is a star"
        )
        _ = test.session.remove(
            page.keys,
            lazily: true,
            token: 7,
            at: .zero,
            deadline: .distantFuture
        )
        test.get("p*:1", 8)
        test.get("px:3", 9)
        _ = test.session.ping(token: 10, at: .zero, deadline: .distantFuture)
        RealRedisTests.exchange(test, descriptor, events: 4)
        #expect(
            test.takeEvents() == [
                .reply(token: 7, .integer(2)), .reply(token: 8, .null),
                .reply(token: 9, .bytes(value)), .reply(token: 10, .status("PONG")),
            ]
        )

        for (password, code) in [("wrong", "WRONGPASS"), (nil, "NOAUTH")] as [(String?, String)] {
            let other = try redis.connect()
            defer { close(other) }
            let refused = RedisTestSession(RealRedisTests.settings(password: password))
            RealRedisTests.exchange(refused, other, events: 1)
            guard case .ended(.refused(let text)) = refused.events.last else {
                Issue.record("\(refused.events)")
                return
            }
            #expect(text.hasPrefix(code))
        }
    }
}
