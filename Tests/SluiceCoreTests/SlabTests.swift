import SluiceCore
import Testing

@Suite("Records of a slab")
struct SlabTests {
    @Test("Records lie apart, keep what is written, and are used again before new ones are made")
    func reuse() {
        let slab = Slab(stride: 24, chunkCount: 4)
        defer { slab.deallocate() }
        let records = unsafe (0..<10).map { _ in unsafe slab.take() }
        for unsafe(index, record) in unsafe records.enumerated() {
            unsafe record.initializeMemory(as: UInt8.self, repeating: UInt8(index), count: 24)
        }
        for unsafe(index, record) in unsafe records.enumerated() {
            let bytes = unsafe UnsafeRawBufferPointer(start: record, count: 24)
            #expect(unsafe bytes.allSatisfy { $0 == UInt8(index) })
        }
        #expect(slab.liveCount == 10)
        for unsafe(_, record) in unsafe records.enumerated() { unsafe slab.give(record) }
        #expect(slab.liveCount == 0)
        let again = unsafe (0..<10).map { _ in unsafe slab.take() }
        #expect(unsafe Set(again) == Set(records))
        for unsafe(_, record) in unsafe again.enumerated() { unsafe slab.give(record) }
    }

    @Test("A record that comes back twice ends a debug build: it would be two requests' at once")
    func givenTwice() async {
        await #expect(processExitsWith: .failure) {
            let slab = Slab(stride: 64)
            let record = unsafe slab.take()
            unsafe slab.give(record)
            unsafe slab.give(record)
        }
    }

    @Test("A record that is written to after it came back ends a debug build when it is handed out")
    func writtenAfter() async {
        await #expect(processExitsWith: .failure) {
            let slab = Slab(stride: 64)
            let record = unsafe slab.take()
            unsafe slab.give(record)
            unsafe record.storeBytes(of: 7, toByteOffset: 8, as: UInt64.self)
            _ = unsafe slab.take()
        }
    }
}
