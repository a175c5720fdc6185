import SluiceCore
import SluiceTelemetry
import Testing

extension Tag {
    @Tag static var unit: Self
    @Tag static var property: Self
    @Tag static var conformance: Self
    @Tag static var integration: Self
}

extension MetricStore {
    /// The text of a scrape.
    func scrape(as format: ExpositionFormat = .prometheus) -> String {
        var buffer = ByteBuffer(pool: BufferPool())
        write(as: format, into: &buffer)
        return unsafe String(decoding: buffer.bytes, as: UTF8.self)
    }

    /// The lines of a scrape that hold samples of `name`.
    func samples(of name: String) -> [String] {
        scrape().split(separator: "\n").map(String.init).filter { $0.hasPrefix(name) }
    }
}
