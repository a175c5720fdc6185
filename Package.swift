// swift-tools-version: 6.2
// The manifest lists the modules layer by layer; a module may
// import only modules listed above it. `Tests/ArchitectureTests` holds the sources to it.
import PackageDescription

// What fuzzing and checking by sanitizers need, and nothing else has: `Tests/fuzz/run`.
let isFuzzing = Context.environment["SLUICE_FUZZ"] != nil

let settings: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    // The dynamic exclusivity check cost 8,800 of 65,900 instructions a request. Debug builds,
    // which all tests run on, keep it.
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// A C library's headers, imported by exactly one Swift module.
func systemLibrary(_ name: String) -> Target {
    .systemLibrary(name: name, path: "Sources/\(name)")
}

/// A Swift module with the settings every module shares.
func module(
    _ name: String,
    imports: [String] = [],
    packages: [Target.Dependency] = [],
    exclude: [String] = [],
    resources: [Resource] = []
) -> Target {
    .target(
        name: name,
        dependencies: imports.map { .byName(name: $0) } + packages,
        exclude: exclude,
        resources: resources,
        swiftSettings: settings
    )
}

/// The tests of one module, or of all together.
func tests(
    for name: String,
    imports: [String],
    packages: [Target.Dependency] = []
) -> Target {
    .testTarget(
        name: "\(name)Tests",
        dependencies: imports.map { .byName(name: $0) } + packages,
        swiftSettings: settings
    )
}

/// A program: a `main.swift` of a line or two.
func program(
    _ name: String,
    path: String? = nil,
    imports: [String],
    exclude: [String] = []
) -> Target {
    .executableTarget(
        name: name,
        dependencies: imports.map { .byName(name: $0) },
        path: path,
        exclude: exclude,
        swiftSettings: settings
    )
}

let argumentParser: Target.Dependency = .product(
    name: "ArgumentParser",
    package: "swift-argument-parser"
)
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

let package = Package(
    name: "sluice",
    products: [
        .executable(name: "sluice", targets: ["sluice"]),
        .executable(name: "sluice-model", targets: ["sluice-model"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        // `swift package generate-documentation`; nothing that is built depends on it.
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", exact: "1.5.0"),
    ],
    targets: [
        // 0  C libraries
        systemLibrary("CNghttp2"),
        systemLibrary("COpenSSL"),
        systemLibrary("CHiredis"),
        systemLibrary("CZlib"),
        systemLibrary("CProcessor"),
        .target(name: "CLinux", path: "Sources/CLinux"),
        // 1  ground
        module("SluiceCore", imports: ["CProcessor"]),
        // 2  notation
        module("SluiceWire", imports: ["SluiceCore"]),
        // 3  protocols, policies, instruments: no I/O
        module("SluiceHTTP", imports: ["SluiceCore"]),
        module("SluiceTLS", imports: ["SluiceCore", "COpenSSL"]),
        module(
            "SluiceGRPC",
            imports: ["SluiceCore", "SluiceWire"],
            exclude: ["Protos"]
        ),
        module("SluiceInference", imports: ["SluiceCore", "SluiceWire"]),
        module("SluiceRouting", imports: ["SluiceCore"]),
        module("SluiceBalancing", imports: ["SluiceCore"]),
        module("SluiceCache", imports: ["SluiceCore"]),
        module("SluiceRedis", imports: ["SluiceCore", "CHiredis"]),
        module("SluiceTelemetry", imports: ["SluiceCore", "SluiceWire"]),
        module("SluiceCompression", imports: ["SluiceCore", "CZlib"]),
        // 4  input and output
        module("SluiceIO", imports: ["SluiceCore", "SluiceTLS", "CLinux"]),
        // 5  conversations
        module("SluiceIngress", imports: ["SluiceCore", "SluiceHTTP", "SluiceTLS", "SluiceIO"]),
        module(
            "SluiceEgress",
            imports: ["SluiceCore", "SluiceHTTP", "SluiceTLS", "SluiceRedis", "SluiceIO"]
        ),
        // 6  data plane
        module(
            "SluiceGateway",
            imports: [
                "SluiceCore", "SluiceWire", "SluiceHTTP", "SluiceTLS", "SluiceGRPC",
                "SluiceInference", "SluiceRouting", "SluiceBalancing", "SluiceCache",
                "SluiceRedis", "SluiceTelemetry", "SluiceCompression",
                "SluiceIO", "SluiceIngress", "SluiceEgress",
            ]
        ),
        module(
            "SluiceSampleModels",
            imports: [
                "SluiceCore", "SluiceWire", "SluiceHTTP", "SluiceGRPC", "SluiceInference",
                "SluiceIO", "SluiceIngress",
            ]
        ),
        // 7  control plane, a staircase
        module(
            "SluiceConfiguration",
            imports: [
                "SluiceCore", "SluiceWire", "SluiceHTTP", "SluiceInference", "SluiceRouting",
                "SluiceBalancing",
                "SluiceRedis",
            ],
            packages: [yams]
        ),
        module(
            "SluiceControl",
            imports: [
                "SluiceCore", "SluiceWire", "SluiceInference", "SluiceBalancing", "SluiceRouting",
                "SluiceCache",
                "SluiceTLS", "SluiceTelemetry", "SluiceIO", "SluiceIngress", "SluiceEgress",
                "SluiceGateway", "SluiceRedis",
                "SluiceConfiguration",
            ]
        ),
        module(
            "SluiceAdmin",
            imports: [
                "SluiceCore", "SluiceWire", "SluiceHTTP", "SluiceTelemetry", "SluiceIO",
                "SluiceIngress", "SluiceConfiguration", "SluiceControl",
            ],
            resources: [.embedInCode("Dashboard"), .embedInCode("OpenAPI")]
        ),
        // 8  command line
        module(
            "SluiceCommandLine",
            imports: [
                "SluiceCore", "SluiceWire", "SluiceHTTP", "SluiceGRPC", "SluiceInference",
                "SluiceTelemetry", "SluiceIO", "SluiceEgress", "SluiceGateway",
                "SluiceSampleModels", "SluiceConfiguration", "SluiceControl", "SluiceAdmin",
            ],
            packages: [argumentParser]
        ),
        program("sluice", imports: ["SluiceCommandLine"]),
        program("sluice-model", imports: ["SluiceCommandLine"]),
        // benchmarks: programs that aren't shipped
        program(
            "json-benchmark",
            path: "Benchmarks/json",
            imports: ["SluiceCore", "SluiceWire"],
            exclude: ["run", "simdjson.cpp"]
        ),
        // test support: tests only
        module(
            "SluiceTestKit",
            imports: ["SluiceCore", "SluiceHTTP", "SluiceTLS", "SluiceIO", "CNghttp2", "CZlib"]
        ),
        module(
            "SluiceFuzzing",
            imports: [
                "SluiceCore", "SluiceWire", "SluiceHTTP", "SluiceTLS", "SluiceGRPC",
                "SluiceInference", "SluiceRedis", "SluiceTelemetry", "SluiceCompression",
                "SluiceConfiguration", "SluiceTestKit",
            ]
        ),
        module("SluiceSimulation", imports: ["SluiceCore", "SluiceIO"]),
        // tests
        tests(for: "SluiceCore", imports: ["SluiceCore"]),
        tests(for: "Fuzz", imports: ["SluiceFuzzing"]),
        tests(
            for: "SluiceWire",
            imports: ["SluiceWire", "SluiceCore", "SluiceTestKit", "SluiceFuzzing"]
        ),
        tests(
            for: "SluiceHTTP",
            imports: ["SluiceHTTP", "SluiceCore", "SluiceTestKit", "SluiceFuzzing"]
        ),
        tests(for: "SluiceTLS", imports: ["SluiceTLS", "SluiceCore"]),
        tests(for: "SluiceGRPC", imports: ["SluiceGRPC", "SluiceWire", "SluiceCore"]),
        tests(
            for: "SluiceInference",
            imports: ["SluiceInference", "SluiceWire", "SluiceCore", "SluiceTestKit"]
        ),
        tests(for: "SluiceBalancing", imports: ["SluiceBalancing", "SluiceCore"]),
        tests(for: "SluiceRouting", imports: ["SluiceRouting", "SluiceCore"]),
        tests(for: "SluiceCache", imports: ["SluiceCache", "SluiceCore"]),
        tests(for: "SluiceRedis", imports: ["SluiceRedis", "SluiceCore", "SluiceTestKit"]),
        tests(
            for: "SluiceIO",
            imports: ["SluiceIO", "SluiceTLS", "SluiceCore", "SluiceSimulation"]
        ),
        tests(
            for: "SluiceIngress",
            imports: [
                "SluiceIngress", "SluiceIO", "SluiceHTTP", "SluiceCore", "SluiceSimulation",
                "SluiceTestKit",
            ]
        ),
        tests(
            for: "SluiceEgress",
            imports: ["SluiceEgress", "SluiceCore", "SluiceRedis", "SluiceIO", "SluiceSimulation"]
        ),
        tests(
            for: "SluiceSampleModels",
            imports: ["SluiceSampleModels", "SluiceInference", "SluiceWire"]
        ),
        tests(
            for: "SluiceCompression",
            imports: ["SluiceCompression", "SluiceCore", "SluiceTestKit"]
        ),
        tests(for: "SluiceTelemetry", imports: ["SluiceTelemetry", "SluiceCore"]),
        tests(
            for: "SluiceConfiguration",
            imports: ["SluiceConfiguration", "SluiceCore", "SluiceRouting", "SluiceWire"]
        ),
        tests(
            for: "Simulation",
            imports: [
                "SluiceSimulation", "SluiceCore", "SluiceWire", "SluiceHTTP", "SluiceTLS",
                "SluiceGRPC", "SluiceInference", "SluiceRouting", "SluiceBalancing",
                "SluiceTelemetry", "SluiceIO", "SluiceIngress", "SluiceEgress", "SluiceGateway",
                "SluiceSampleModels", "SluiceTestKit",
            ]
        ),
        tests(
            for: "SluiceGateway",
            imports: [
                "SluiceGateway", "SluiceCore", "SluiceWire", "SluiceHTTP", "SluiceGRPC",
                "SluiceInference", "SluiceRouting", "SluiceBalancing", "SluiceCache",
                "SluiceRedis", "SluiceTelemetry", "SluiceCompression", "SluiceIO",
                "SluiceIngress", "SluiceEgress", "SluiceSimulation",
            ]
        ),
        tests(
            for: "SluiceControl",
            imports: [
                "SluiceControl", "SluiceConfiguration", "SluiceCore", "SluiceEgress",
                "SluiceGateway", "SluiceIO", "SluiceRedis", "SluiceRouting", "SluiceTelemetry",
                "SluiceWire",
            ]
        ),
        tests(
            for: "SluiceAdmin",
            imports: ["SluiceAdmin", "SluiceControl", "SluiceCore", "SluiceWire"]
        ),
        tests(
            for: "SluiceCommandLine",
            imports: ["SluiceCommandLine", "SluiceConfiguration", "SluiceWire", "SluiceCore"],
            packages: [argumentParser]
        ),
        tests(for: "Architecture", imports: []),
    ],
    swiftLanguageModes: [.v6]
)

if isFuzzing {
    package.targets += [
        .systemLibrary(name: "CFuzzer", path: "Tests/fuzz/CFuzzer"),
        .executableTarget(
            name: "sluice-fuzz",
            dependencies: ["SluiceFuzzing", "CFuzzer"],
            path: "Tests/fuzz/driver",
            swiftSettings: settings,
            // gold stumbles over what the fuzzer's library says of itself.
            linkerSettings: [.unsafeFlags(["-use-ld=lld"])]
        ),
    ]
}
