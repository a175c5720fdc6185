// Rates of reading and writing JSON arrays of floats; `run` beside this file builds and starts it.
import Foundation
import SluiceCore
import SluiceWire

typealias ReadFloats =
    @convention(c) (UnsafePointer<UInt8>, Int, UnsafeMutablePointer<Float>) -> Int
typealias ReadDoubles =
    @convention(c) (UnsafePointer<UInt8>, Int, UnsafeMutablePointer<Double>) -> Int

/// One way of doing the work, and the seconds each round took.
struct Contender {
    let name: String
    /// Rounds are cut for those that take long.
    let every: Int
    let work: () -> Void
    var seconds: [Double] = []
}

/// A text, with room behind it for readers that look further than its end.
@safe
struct Sample {
    let name: String
    let bytes: UnsafeMutablePointer<UInt8>
    let length: Int
    let count: Int

    init(_ name: String, _ text: String, count: Int) {
        self.name = name
        length = text.utf8.count
        self.count = count
        unsafe bytes = .allocate(capacity: length + 64)
        unsafe bytes.initialize(repeating: 0, count: length + 64)
        for (index, byte) in text.utf8.enumerated() { unsafe bytes[index] = byte }
    }

    var raw: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: bytes, count: length) }
}

let arguments = CommandLine.arguments
let rounds = arguments.count > 2 ? Int(arguments[2]) ?? 200 : 200
let peer = unsafe arguments.count > 1 ? dlopen(arguments[1], RTLD_NOW) : nil

@MainActor
func symbol<Function>(_ name: String, as type: Function.Type) -> Function? {
    guard let handle = unsafe peer, let address = unsafe dlsym(handle, name) else { return nil }
    return unsafe unsafeBitCast(address, to: type)
}

if let name = unsafe symbol(
    "simdjson_implementation",
    as: (@convention(c) () -> UnsafePointer<CChar>).self
) {
    unsafe print("simdjson:", String(cString: name()))
}

var random = RandomSource(seed: 7)
@MainActor
func normal() -> Float {
    let (one, other) = (
        Double.random(in: 1e-9..<1, using: &random), Double.random(in: 0..<1, using: &random)
    )
    return Float((-2 * log(one)).squareRoot() * cos(2 * .pi * other))
}
let values = (0..<10_000).map { _ in normal() }
let shortest = values.map { "\($0)" }
let wide = values.map { "\(Double($0))" }
let floats = values.map { Float($0) }

let samples = [
    Sample(
        "10,000 floats, shortest text",
        "[" + shortest.joined(separator: ",") + "]",
        count: 10_000
    ),
    Sample(
        "10,000 floats as Python writes them",
        "[" + wide.joined(separator: ", ") + "]",
        count: 10_000
    ),
    Sample(
        "1,000 x 4 floats, shortest text",
        "["
            + (0..<1000).map { "[" + shortest[4 * $0..<4 * $0 + 4].joined(separator: ",") + "]" }
            .joined(separator: ",") + "]",
        count: 4000
    ),
]

@MainActor
func measure(_ title: String, _ bytes: Int, _ contenders: [Contender]) {
    var contenders = contenders
    let clock = ContinuousClock()
    for round in 0..<rounds {
        for index in contenders.indices where round % contenders[index].every == 0 {
            let work = contenders[index].work
            // Once at a time: a processor that reads the same thousand numbers again and again
            // learns where they end.
            contenders[index].seconds.append(clock.measure(work) / .seconds(1))
        }
    }
    print("\n\(title), \(bytes) bytes, MB/s (median, best)")
    for contender in contenders {
        let sorted = contender.seconds.sorted()
        let rates = [sorted[sorted.count / 2], sorted[0]].map { Int(Double(bytes) / $0 / 1e6) }
        print(
            "  \(contender.name.padding(toLength: 28, withPad: " ", startingAt: 0)) \(rates[0])  \(rates[1])"
        )
    }
}

let doubleOutput = UnsafeMutablePointer<Double>.allocate(capacity: 10_000)
let output = unsafe UnsafeMutableRawBufferPointer(start: doubleOutput, count: 80_000)
// Elements are read back in the byte order they were written in, whatever the pointer's type.
let floatOutput = unsafe UnsafeMutableRawPointer(doubleOutput).assumingMemoryBound(to: Float.self)
let pool = BufferPool()

for sample in samples {
    func check(_ count: Int) {
        precondition(
            count == sample.count && (0..<count).allSatisfy { unsafe floatOutput[$0] == floats[$0] }
        )
    }
    func ours(_ type: JSONNumberType) -> () -> Void {
        {
            var cursor = unsafe JSONCursor(sample.raw)
            guard let shape = unsafe try? cursor.numbers(type, into: output) else { fatalError() }
            precondition(shape.count == sample.count)
        }
    }
    ours(.float32)()
    check(sample.count)
    var contenders = [
        Contender(name: "ours, FP32", every: 1, work: ours(.float32)),
        Contender(name: "ours, FP64", every: 1, work: ours(.float64)),
        Contender(name: "ours, to a growing buffer", every: 1) {
            var buffer = ByteBuffer(pool: pool)
            var cursor = unsafe JSONCursor(sample.raw)
            _ = try? cursor.numbers(.float32, appendedTo: &buffer)
        },
        Contender(name: "ours, skip", every: 1) {
            var cursor = unsafe JSONCursor(sample.raw)
            _ = unsafe try? cursor.skip()
        },
        Contender(name: "ours, skim", every: 1) {
            var cursor = unsafe JSONCursor(sample.raw)
            _ = unsafe try? cursor.skim()
        },
    ]
    for (name, function) in [
        ("simdjson, tree", "simdjson_tree"), ("simdjson, on demand", "simdjson_demand"),
    ] {
        guard let read = unsafe symbol(function, as: ReadFloats.self) else { continue }
        unsafe check(read(sample.bytes, sample.length, floatOutput))
        contenders.append(
            Contender(name: name, every: 1) {
                unsafe precondition(read(sample.bytes, sample.length, floatOutput) == sample.count)
            }
        )
    }
    if let read = unsafe symbol("simdjson_demand_doubles", as: ReadDoubles.self),
        sample.count == 10_000
    {
        contenders.append(
            Contender(name: "simdjson, on demand, FP64", every: 1) {
                unsafe precondition(read(sample.bytes, sample.length, doubleOutput) == sample.count)
            }
        )
    }
    let data = unsafe Data(bytes: sample.bytes, count: sample.length)
    contenders.append(
        Contender(name: "Foundation's decoder", every: 10) {
            if sample.count == 10_000 {
                precondition((try? JSONDecoder().decode([Float].self, from: data))?.count == 10_000)
            } else {
                precondition((try? JSONDecoder().decode([[Float]].self, from: data))?.count == 1000)
            }
        }
    )
    measure("Reading " + sample.name, sample.length, contenders)
}

func packed<Number>(_ numbers: [Number]) -> [UInt8] {
    unsafe numbers.withUnsafeBytes { unsafe Array($0) }
}
let floatBytes = packed(floats)
let doubleBytes = packed(floats.map { Double($0) * 1.1 })
@MainActor
func write(_ type: JSONNumberType, _ bytes: [UInt8]) -> () -> Void {
    {
        var buffer = ByteBuffer(pool: pool)
        unsafe bytes.withUnsafeBytes { unsafe JSONNumberText.append(type, $0, to: &buffer) }
    }
}
measure(
    "Writing 10,000 floats",
    samples[0].length,
    [
        Contender(name: "ours, FP32", every: 1, work: write(.float32, floatBytes)),
        Contender(name: "description", every: 10) {
            var text: [UInt8] = []
            for value in floats {
                text.append(contentsOf: value.description.utf8)
                text.append(0x2C)
            }
        },
        Contender(name: "Foundation's encoder", every: 10) {
            _ = try? JSONEncoder().encode(floats)
        },
    ]
)
measure(
    "Writing 10,000 doubles",
    floats.reduce(1) { $0 + (Double($1) * 1.1).description.utf8.count + 1 },
    [Contender(name: "ours, FP64", every: 1, work: write(.float64, doubleBytes))]
)
