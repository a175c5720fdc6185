import SluiceCore

/// What a session said, in a form that doesn't depend on how its input was cut.
struct Transcript: Equatable {
    private(set) var bytes: [UInt8] = []
    /// The stream whose body is being written, so that the next piece joins it.
    private var body: UInt32?

    /// An event without a body.
    mutating func note(_ kind: Unicode.Scalar, _ number: UInt32 = 0) {
        body = nil
        bytes.append(0xFF)
        bytes.append(UInt8(truncatingIfNeeded: kind.value))
        for shift: UInt32 in [24, 16, 8, 0] {
            bytes.append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    /// A text of the event before.
    mutating func add(_ text: UnsafeRawBufferPointer) {
        bytes.append(0xFE)
        unsafe bytes.append(contentsOf: text)
    }

    /// A piece of a body; pieces without anything between them are one.
    mutating func fragment(_ fragment: UnsafeRawBufferPointer, of stream: UInt32 = 0) {
        guard unsafe !fragment.isEmpty else { return }
        if body != stream {
            note("b", stream)
            body = stream
        }
        unsafe bytes.append(contentsOf: fragment)
    }

    /// Whether this begins with all of `other`.
    func starts(with other: Transcript) -> Bool { bytes.starts(with: other.bytes) }

    /// Readable, for findings.
    var text: String {
        String(
            String.UnicodeScalarView(
                bytes.flatMap { byte -> [Unicode.Scalar] in
                    (0x20...0x7E).contains(byte)
                        ? [Unicode.Scalar(byte)] : Array("<\(byte)>".unicodeScalars)
                }
            )
        )
    }
}

/// Hands out `bytes` in pieces that follow from `seed`: short cuts find the seams, long ones get on.
///
/// Seed 0 is one byte at a time.
struct Fragments {
    private var random: RandomSource
    private let isBytewise: Bool

    init(seed: UInt8) {
        random = RandomSource(seed: UInt64(seed))
        isBytewise = seed == 0
    }

    /// The length of the next piece out of `count` bytes that are left.
    mutating func next(of count: Int) -> Int {
        isBytewise ? 1 : min(count, 1 + random.next(below: random.next() & 1 == 0 ? 6 : 90))
    }

    /// The same with few pieces, where each costs much.
    mutating func nextOfFew(of count: Int) -> Int {
        1 + random.next(below: random.next() & 3 == 0 ? min(count, 6) : count)
    }

    /// Calls `body` with each piece, until it returns false.
    mutating func each(
        of bytes: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(Finding) -> Bool
    ) throws(Finding) {
        var start = 0
        while start < bytes.count {
            let end = start + next(of: bytes.count - start)
            guard try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) else {
                return
            }
            start = end
        }
    }
}

extension UnsafeRawBufferPointer {
    /// What comes after the first `count` bytes; nothing when there are fewer.
    func after(_ count: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: self[Swift.min(count, self.count)...])
    }
}
