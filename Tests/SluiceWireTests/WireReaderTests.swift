import SluiceWire
import Testing

@Suite("Protobuf reader")
struct WireReaderTests {
    @Test(
        "Broken messages are refused at the byte where they break",
        arguments: [
            ([0x00], 0), ([0x08], 1), ([0x08, 0x80], 1), ([0x0A, 5, 1], 0), ([0x0D, 1, 2], 1),
            ([0x0B], 0), ([0x08, 1, 0x12, 9], 2),
            ([0x08] + [UInt8](repeating: 0x80, count: 11), 1),
        ] as [([UInt8], Int)]
    )
    func broken(bytes: [UInt8], offset: Int) {
        let failure: WireFailure? = unsafe bytes.withUnsafeBytes { raw in
            var reader = unsafe WireReader(raw)
            do throws(WireFailure) {
                while try reader.nextField() != nil {}
                return nil
            } catch {
                return error
            }
        }
        #expect(failure?.offset == offset)
    }
}
