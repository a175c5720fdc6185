import SluiceCore
import Testing

@Suite("Bytes")
struct BytesTests {
    @Test(
        "A buffer gives back what was appended, whatever the sizes",
        arguments: 0..<32 as Range<UInt64>
    )
    func roundTrip(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let pool = BufferPool()
        var buffer = ByteBuffer(pool: pool)
        var expected: [UInt8] = []
        for _ in 0..<200 {
            let fragment = (0..<random.next(below: 3000)).map { _ in
                UInt8(truncatingIfNeeded: random.next())
            }
            buffer.append(fragment)
            expected += fragment
            let taken = random.next(below: expected.count + 1)
            #expect(unsafe buffer.bytes.prefix(taken).elementsEqual(expected.prefix(taken)))
            buffer.consume(taken)
            expected.removeFirst(taken)
            #expect(buffer.count == expected.count)
        }
        #expect(unsafe buffer.bytes.elementsEqual(expected))
    }

    @Test("An emptied buffer returns its memory, and the pool hands it out again")
    func pooled() {
        let pool = BufferPool()
        var buffer = ByteBuffer(pool: pool)
        buffer.append([UInt8](repeating: 7, count: 5000))
        #expect(pool.retained == 0)
        buffer.consume(5000)
        #expect(pool.retained == 8192)
        buffer.append([1])
        buffer.removeAll()
        #expect(pool.retained >= 8192)
    }

    @Test("A buffer that grows piece by piece moves no more than it is given, at any size")
    func growth() {
        var buffer = ByteBuffer(pool: BufferPool())
        let fragment = [UInt8](repeating: 7, count: 16 << 10)
        var moved = 0
        var place: UnsafeRawPointer?
        while buffer.count < 64 << 20 {
            let before = buffer.count
            buffer.append(fragment)
            if unsafe buffer.bytes.baseAddress != place { moved += before }
            unsafe place = buffer.bytes.baseAddress
        }
        #expect(moved <= buffer.count, "\(moved) bytes were moved for \(buffer.count)")
    }

    @Test(
        "Numbers are written as decimals",
        arguments: [0, 7, -1, 10, 1_234_567, Int.max, Int.min]
    )
    func decimals(number: Int) {
        var buffer = ByteBuffer(pool: BufferPool())
        buffer.append(decimal: number)
        #expect(unsafe String(decoding: buffer.bytes, as: UTF8.self) == "\(number)")
    }

    @Test(
        "Decimals are read strictly",
        arguments: [
            ("0", 0), ("42", 42), ("", nil), ("-1", nil), ("1 ", nil),
            ("99999999999999999999", nil),
        ]
            as [(String, Int?)]
    )
    func parsing(text: String, expected: Int?) {
        let bytes = Array(text.utf8)
        #expect(unsafe bytes.withUnsafeBytes { unsafe ASCII.decimal($0) } == expected)
    }

    @Test("A slab's records keep their places, and memory is reused")
    func slab() {
        let slab = Slab(stride: 48, chunkCount: 4)
        defer { slab.deallocate() }
        var records: [UnsafeMutableRawPointer] = unsafe []
        for index in 0..<10 {
            let record = unsafe slab.take()
            unsafe record.storeBytes(of: index, toByteOffset: 16, as: Int.self)
            unsafe records.append(record)
        }
        for index in 0..<10 {
            #expect(unsafe records[index].load(fromByteOffset: 16, as: Int.self) == index)
        }
        #expect(slab.liveCount == 10)
        unsafe slab.give(records[3])
        #expect(unsafe slab.take() == records[3])
        #expect(slab.liveCount == 10)
    }

    @Test(
        "A slab's records begin at multiples of its alignment, and share none of that",
        arguments: [(48, 16), (1, 64), (64, 64), (65, 64), (1152, 64), (100, 128)]
    )
    func slabAlignment(stride: Int, alignment: Int) {
        let slab = Slab(stride: stride, alignment: alignment, chunkCount: 3)
        defer { slab.deallocate() }
        let places = (0..<8).map { _ in unsafe UInt(bitPattern: slab.take()) }.sorted()
        #expect(places.allSatisfy { $0 % UInt(alignment) == 0 })
        for (place, next) in zip(places, places.dropFirst()) {
            #expect(next - place >= UInt(stride))
        }
    }

    @Test("An alignment that is none stops the process")
    func slabAlignmentRules() async {
        await #expect(processExitsWith: .failure) { _ = Slab(stride: 64, alignment: 48) }
        await #expect(processExitsWith: .failure) { _ = Slab(stride: 64, alignment: 8) }
    }
}
