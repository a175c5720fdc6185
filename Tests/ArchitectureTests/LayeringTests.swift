import Foundation
import Testing

/// The rules of the layers, read off the sources.
@Suite("The rules of the layers")
struct LayeringTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// Modules by layer, lowest first; a module imports only from layers below.
    static let layers: [[String]] = [
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

    /// The one module that may import each C library.
    static let importers = [
        "CNghttp2": ["SluiceTestKit"], "COpenSSL": ["SluiceTLS"],
        "CHiredis": ["SluiceRedis"], "CZlib": ["SluiceCompression", "SluiceTestKit"],
        "CLinux": ["SluiceIO"], "CProcessor": ["SluiceCore"],
    ]

    /// Test support: what tests are made with, and what it may be made of.
    static let testSupport = ["SluiceSimulation": ["SluiceCore", "SluiceIO"]]

    static let modules = Array(layers.dropFirst().joined()) + testSupport.keys.sorted()

    static func sources(of module: String) throws -> [(name: String, lines: [Substring])] {
        let folder = root.appending(path: "Sources/\(module)")
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

    @Test("A module imports only modules of lower layers", arguments: modules)
    func layering(module: String) throws {
        // Test support has imports of its own, below.
        guard let layer = Self.layers.firstIndex(where: { $0.contains(module) }) else { return }
        let files = try Self.sources(of: module)
        #expect(!files.isEmpty, "\(module) has no sources")
        for file in files {
            for name in Self.imports(file.lines) {
                guard let other = Self.layers.firstIndex(where: { $0.contains(name) }) else {
                    continue
                }
                #expect(other < layer, "\(module)/\(file.name) imports \(name)")
            }
        }
    }

    @Test(
        "The simulation is made of SluiceIO and SluiceCore alone",
        arguments: testSupport.keys.sorted()
    )
    func simulation(module: String) throws {
        let allowed = Set(Self.testSupport[module] ?? []).union(["Glibc", "Synchronization"])
        let files = try Self.sources(of: module)
        #expect(!files.isEmpty, "\(module) has no sources")
        for file in files {
            for name in Self.imports(file.lines) {
                #expect(allowed.contains(name), "\(module)/\(file.name) imports \(name)")
            }
        }
    }

    @Test(
        "What ships never imports test support",
        arguments: Array(layers.dropFirst().joined())
    )
    func onlyTestsSimulate(module: String) throws {
        for file in try Self.sources(of: module) {
            for name in Self.imports(file.lines) {
                #expect(Self.testSupport[name] == nil, "\(module)/\(file.name) imports \(name)")
            }
        }
    }

    @Test(
        "The simulation reads no clock and starts no thread",
        arguments: testSupport.keys.sorted()
    )
    func virtual(module: String) throws {
        for file in try Self.sources(of: module) {
            for line in file.lines where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                for word in ["clock_gettime", "ContinuousClock", "Thread(", "pthread_", "Date("] {
                    #expect(!line.contains(word), "\(module)/\(file.name): \(line)")
                }
                #expect(!line.contains("SystemRandomNumberGenerator"), "\(file.name): \(line)")
            }
        }
    }

    @Test("Each C library is imported by one module", arguments: modules)
    func systemLibraries(module: String) throws {
        for file in try Self.sources(of: module) {
            for name in Self.imports(file.lines) {
                guard let holders = Self.importers[name] else { continue }
                #expect(holders.contains(module), "\(module)/\(file.name) opens \(name)")
            }
        }
    }

    @Test(
        "Below the control plane there is neither Foundation nor a package from outside",
        arguments: Array(layers.dropFirst().prefix(6).joined())
    )
    func noFoundation(module: String) throws {
        let own = Set(Self.layers.joined())
        let system: Set = ["Glibc", "Synchronization"]
        for file in try Self.sources(of: module) {
            for name in Self.imports(file.lines) {
                #expect(own.contains(name) || system.contains(name), "\(file.name): \(name)")
            }
        }
    }

    @Test(
        "Policies and protocols read no clock and print nothing",
        arguments: layers[3] + layers[1]
    )
    func purity(module: String) throws {
        for file in try Self.sources(of: module) {
            for line in file.lines {
                let code = line.drop { $0 == " " }
                guard !code.hasPrefix("//") else { continue }
                for word in ["clock_gettime", "ContinuousClock", "Thread(", " print(", "pthread_"] {
                    #expect(!code.contains(word), "\(module)/\(file.name): \(line)")
                }
            }
        }
    }

    @Test("No file is a drawer for odds and ends", arguments: modules)
    func names(module: String) throws {
        for file in try Self.sources(of: module) {
            for word in ["Utils", "Helpers", "Common", "Misc", "Manager", "Module.swift"] {
                #expect(!file.name.contains(word), "\(module)/\(file.name)")
            }
        }
    }

    @Test("Every package declaration has a doc comment", arguments: modules)
    func documented(module: String) throws {
        for file in try Self.sources(of: module) {
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
                #expect(comment.hasPrefix("///"), "\(module)/\(file.name):\(index + 1): \(code)")
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
