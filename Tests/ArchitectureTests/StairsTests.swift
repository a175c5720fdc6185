import Foundation
import Testing

/// The rules of the house, read off the sources.
@Suite("The rules of the stairs")
struct StairsTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// Rooms by floor, lowest first; a room imports only from floors below, or the exceptions.
    static let floors: [[String]] = [
        ["CNghttp2", "COpenSSL", "CHiredis", "CZlib", "CLinux", "CProcessor"],
        ["SluiceCore"],
        ["SluiceWire"],
        [
            "SluiceHTTP", "SluiceTLS", "SluiceGRPC", "SluiceInference", "SluiceRouting",
            "SluiceBalancing", "SluiceCache", "SluiceRedis", "SluiceTelemetry",
            "SluiceCompression",
        ],
        ["SluiceIO"],
        ["SluiceIngress", "SluiceEgress"],
        ["SluiceGateway", "SluiceSampleModels"],
        ["SluiceConfiguration"], ["SluiceControl"], ["SluiceAdmin"],
        ["SluiceCommandLine"],
    ]

    /// The one room that may open each C door.
    static let keys = [
        "CNghttp2": ["SluiceTestKit"], "COpenSSL": ["SluiceTLS"],
        "CHiredis": ["SluiceRedis"], "CZlib": ["SluiceCompression", "SluiceTestKit"],
        "CLinux": ["SluiceIO"], "CProcessor": ["SluiceCore"],
    ]

    /// The garden shed: what tests are made with, and what it may be made of.
    static let shed = ["SluiceSimulation": ["SluiceCore", "SluiceIO"]]

    static let rooms = Array(floors.dropFirst().joined()) + shed.keys.sorted()

    static func sources(of room: String) throws -> [(name: String, lines: [Substring])] {
        let folder = root.appending(path: "Sources/\(room)")
        let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
        return try (files?.allObjects as? [URL] ?? [])
            .filter { $0.pathExtension == "swift" }
            .map {
                (
                    $0.lastPathComponent,
                    try String(contentsOf: $0, encoding: .utf8).split(
                        separator: "\n",
                        omittingEmptySubsequences: false
                    )
                )
            }
    }

    static func imports(_ lines: [Substring]) -> [String] {
        lines.compactMap { line in
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: "import"), place <= 1, words.count > place + 1,
                place == 0 || ["package", "private", "internal", "public"].contains(words[0])
            else { return nil }
            return String(words[place + 1])
        }
    }

    @Test("A room imports only rooms on lower floors", arguments: rooms)
    func stairs(room: String) throws {
        // The shed has imports of its own, below.
        guard let floor = Self.floors.firstIndex(where: { $0.contains(room) }) else { return }
        let files = try Self.sources(of: room)
        #expect(!files.isEmpty, "\(room) has no sources")
        for file in files {
            for name in Self.imports(file.lines) {
                guard let other = Self.floors.firstIndex(where: { $0.contains(name) }) else {
                    continue
                }
                #expect(other < floor, "\(room)/\(file.name) imports \(name)")
            }
        }
    }

    @Test("The simulation is made of the loop and the ground alone", arguments: shed.keys.sorted())
    func simulation(room: String) throws {
        let allowed = Set(Self.shed[room] ?? []).union(["Glibc", "Synchronization"])
        let files = try Self.sources(of: room)
        #expect(!files.isEmpty, "\(room) has no sources")
        for file in files {
            for name in Self.imports(file.lines) {
                #expect(allowed.contains(name), "\(room)/\(file.name) imports \(name)")
            }
        }
    }

    @Test(
        "What ships never imports the garden shed",
        arguments: Array(floors.dropFirst().joined())
    )
    func onlyTestsSimulate(room: String) throws {
        for file in try Self.sources(of: room) {
            for name in Self.imports(file.lines) {
                #expect(Self.shed[name] == nil, "\(room)/\(file.name) imports \(name)")
            }
        }
    }

    @Test("The simulation reads no clock and starts no thread", arguments: shed.keys.sorted())
    func virtual(room: String) throws {
        for file in try Self.sources(of: room) {
            for line in file.lines where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                for word in ["clock_gettime", "ContinuousClock", "Thread(", "pthread_", "Date("] {
                    #expect(!line.contains(word), "\(room)/\(file.name): \(line)")
                }
                #expect(!line.contains("SystemRandomNumberGenerator"), "\(file.name): \(line)")
            }
        }
    }

    @Test("Each C library has one key", arguments: rooms)
    func doors(room: String) throws {
        for file in try Self.sources(of: room) {
            for name in Self.imports(file.lines) {
                guard let holders = Self.keys[name] else { continue }
                #expect(holders.contains(room), "\(room)/\(file.name) opens \(name)")
            }
        }
    }

    @Test(
        "Below the control plane there is neither Foundation nor a package from outside",
        arguments: Array(floors.dropFirst().prefix(6).joined())
    )
    func noFoundation(room: String) throws {
        let own = Set(Self.floors.joined())
        let system: Set = ["Glibc", "Synchronization"]
        for file in try Self.sources(of: room) {
            for name in Self.imports(file.lines) {
                #expect(own.contains(name) || system.contains(name), "\(file.name): \(name)")
            }
        }
    }

    @Test(
        "Policies and protocols read no clock and print nothing",
        arguments: floors[3] + floors[1]
    )
    func purity(room: String) throws {
        for file in try Self.sources(of: room) {
            for line in file.lines {
                let code = line.drop { $0 == " " }
                guard !code.hasPrefix("//") else { continue }
                for word in ["clock_gettime", "ContinuousClock", "Thread(", " print(", "pthread_"] {
                    #expect(!code.contains(word), "\(room)/\(file.name): \(line)")
                }
            }
        }
    }

    @Test("No file is a drawer for odds and ends", arguments: rooms)
    func names(room: String) throws {
        for file in try Self.sources(of: room) {
            for word in ["Utils", "Helpers", "Common", "Misc", "Manager", "Room.swift"] {
                #expect(!file.name.contains(word), "\(room)/\(file.name)")
            }
        }
    }

    @Test("Every package declaration has a doc comment", arguments: rooms)
    func documented(room: String) throws {
        for file in try Self.sources(of: room) {
            for (index, line) in file.lines.enumerated() {
                let code = line.drop { $0 == " " }
                guard code.hasPrefix("package "),
                    code.contains(" func ") || code.contains(" struct ")
                        || code.contains(" class ") || code.contains(" enum ")
                        || code.contains(" protocol ")
                else { continue }
                // An implementation of a protocol's requirement is documented there.
                guard !Self.isWitness(code) else { continue }
                var above = index - 1
                while above >= 0, file.lines[above].drop(while: { $0 == " " }).hasPrefix("@") {
                    above -= 1
                }
                let comment = file.lines[max(0, above)].drop { $0 == " " }
                #expect(comment.hasPrefix("///"), "\(room)/\(file.name):\(index + 1): \(code)")
            }
        }
    }

    private static let witnesses = [
        "func request", "func response", "func redis", "func stream", "func call",
        "func timerFired",
        "func ready(", "func run()", "func validate()", "static func ==", "static func <",
        "func next()", "func predict(", "func now()", "func wallClock()", "func wait(",
        "func listen(", "func localPort(", "func accept(", "func withdraw(", "func connect",
        "func read(",
        "func write(", "func shutdownWrite(", "func close(", "func watch(", "func rewatch(",
        "func unwatch(", "func reset(_ descriptor",
    ]

    private static func isWitness(_ code: Substring) -> Bool {
        witnesses.contains { code.contains($0) }
    }
}
