import SluiceCore
import SluiceTelemetry
import SluiceWire

/// What the gateway says it did: its access log and its metrics, read as an operator would.
struct Ledger {
    struct Line {
        let id: String
        let isGRPC: Bool
        let status: Int
        let grpcStatus: String?
        let reason: String?
        let attempts: Int
        /// Seconds from its head to its end.
        let seconds: Double
    }

    /// One sample of the exposition.
    struct Sample {
        let family: String
        let labels: String
        let value: Double
    }

    let lines: [Line]
    let samples: [Sample]

    init(log: AccessChannel, store: MetricStore) {
        var text: [UInt8] = []
        while let fragment = log.takeFull() {
            unsafe text.append(contentsOf: fragment.bytes)
            log.giveBack(fragment)
        }
        lines = text.split(separator: ASCII.lineFeed).compactMap { line in
            guard let document = try? JSONParser.parse(Array(line)) else { return nil }
            return Line(
                id: document["request_id"]?.text ?? "",
                isGRPC: document["protocol"]?.text == "grpc",
                status: document["status"]?.integer ?? 0,
                grpcStatus: document["grpc_status"]?.text,
                reason: document["why"]?.text,
                attempts: document["attempts"]?.integer ?? 0,
                seconds: Double(document["duration_us"]?.integer ?? 0) / 1e6
            )
        }
        var buffer = ByteBuffer(pool: BufferPool())
        store.write(as: .prometheus, into: &buffer)
        let exposition = unsafe [UInt8](buffer.bytes)
        samples = exposition.split(separator: ASCII.lineFeed).compactMap(Ledger.sample)
    }

    private static func sample(_ line: ArraySlice<UInt8>) -> Sample? {
        // Histograms' buckets are most of the text, and nobody asks for them here.
        guard line.first != UInt8(ascii: "#"), let space = line.lastIndex(of: ASCII.space),
            let value = Double(String(decoding: line[(space + 1)...], as: UTF8.self))
        else { return nil }
        let name = line[..<space]
        guard let brace = name.firstIndex(of: UInt8(ascii: "{")) else {
            return Sample(family: String(decoding: name, as: UTF8.self), labels: "", value: value)
        }
        return Sample(
            family: String(decoding: name[..<brace], as: UTF8.self),
            labels: String(decoding: name[brace...], as: UTF8.self),
            value: value
        )
    }

    /// The sum over a family.
    func sum(_ family: String) -> Int {
        Int(samples.filter { $0.family == family }.reduce(0) { $0 + $1.value })
    }

    /// The sum over a family's samples whose labels are wanted.
    func sum(_ family: String, _ isWanted: (String) -> Bool) -> Int {
        let wanted = samples.filter { $0.family == family && isWanted($0.labels) }
        return Int(wanted.reduce(0) { $0 + $1.value })
    }

    /// The samples of a family that aren't zero.
    func nonzero(_ family: String) -> [Sample] {
        samples.filter { $0.family == family && $0.value != 0 }
    }
}
