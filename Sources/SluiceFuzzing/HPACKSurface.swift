// HPACK: [table size][length, block] ...
//
// nghttp2's coder is the judge: both decoders must take and refuse the same blocks and find the same
// fields in them, and it must read what our encoder makes of those.
import SluiceCore
import SluiceHTTP
import SluiceTestKit

enum HPACKSurface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard bytes.count > 1 else { return }
        let arena = HTTPArena()
        var decoder = HPACKDecoder()
        var encoder = HPACKEncoder()
        let theirs = HPACKPeer()
        let theirsOfOurs = HPACKPeer()
        // What our SETTINGS say of our table, and the peer's of its own.
        let size = unsafe [4096, 4096, 0, 64, 100, 1000, 4095, 4096][Int(bytes[0] & 7)]
        decoder.limit(to: size)
        theirs.limit(to: size)
        encoder.limit(to: size)
        theirsOfOurs.limit(to: size)
        var rest = unsafe bytes.after(1)
        while let length = unsafe rest.first {
            let block = unsafe UnsafeRawBufferPointer(rebasing: rest.after(1).prefix(Int(length)))
            unsafe rest = rest.after(1 + block.count)
            // nghttp2 refuses an empty block where the table's new size is due; §4.2 asks for it at
            // the beginning of the next block, and so do we, but of one that has fields.
            if unsafe block.isEmpty { continue }
            let fields = arena.blocks.take()
            defer { arena.blocks.give(fields) }
            var ours: Int?
            do throws(HPACKDecoder.Failure) {
                ours = unsafe try decoder.decode(block, into: fields, maximum: 1 << 16)
            } catch {
                if case .bomb = error { return }
            }
            let heard = unsafe theirs.inflate(block)
            guard let ours else {
                try unsafe expect(
                    heard == nil,
                    "ours refuses \(Array(block)), nghttp2 reads \(heard ?? [])"
                )
                return
            }
            let text = fields.pairs
            guard let heard else {
                throw unsafe Finding("nghttp2 refuses \(Array(block)), ours reads \(text)")
            }
            let wanted = heard.reduce(0) { $0 + $1.0.count + $1.1.count + 32 }
            try expect(ours == wanted, "a size of \(ours), not \(wanted)")
            guard ours <= 1 << 16 else { return }
            try expect(Self.areEqual(text, heard), "ours: \(text), nghttp2: \(heard)")
            var output = ByteBuffer(pool: arena.buffers)
            _ = encoder.encode(fields, into: &output)
            let back = unsafe theirsOfOurs.inflate(output.bytes)
            try expect(
                back.map { Self.areEqual($0, text) } ?? false,
                "encoded \(text), which nghttp2 reads as \(back ?? [])"
            )
        }
    }

    private static func areEqual(_ one: [HPACKPeer.Pair], _ other: [HPACKPeer.Pair]) -> Bool {
        one.count == other.count && zip(one, other).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 }
    }
}

extension FieldBlock {
    /// Names and values, in order.
    fileprivate var pairs: [HPACKPeer.Pair] {
        (0..<count).map { index in
            unsafe ([UInt8](name(of: self[index])), [UInt8](value(of: self[index])))
        }
    }
}
