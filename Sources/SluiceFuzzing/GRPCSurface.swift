// gRPC framing: [flags][cuts][the body of a call]
//
// Flags: 1 a stream, 2 the name is field 2, 4 messages of at most 64 bytes, 8 at most 16.
//
// What the scanner says, however the bytes are cut, must be what a plain reader of protobuf finds in
// the whole body; a renamed body must say the new name and nothing else new. The bytes are also taken
// for a `grpc-message` and a path.
import SluiceCore
import SluiceGRPC
import SluiceWire

enum GRPCSurface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard bytes.count > 2 else { return }
        let flags = unsafe bytes[0]
        let body = unsafe bytes.after(2)
        let isStreaming = flags & 1 != 0
        let field = flags & 2 != 0 ? 2 : 1
        let maximum = flags & 4 != 0 ? 64 : flags & 8 != 0 ? 16 : 1 << 20
        let scanner = RoutingScanner(
            nameField: field,
            messageMaximum: maximum,
            isStreaming: isStreaming
        )
        var whole = Scan(scanner)
        unsafe whole.feed(body)
        var cut = Scan(scanner)
        var fragments = unsafe Fragments(seed: bytes[1])
        try unsafe fragments.each(of: body) { fragment in
            unsafe cut.feed(fragment)
            return !cut.isFailed
        }
        try expect(cut == whole, "cut: \(cut), whole: \(whole)")
        try unsafe check(whole, Reference(body, field, maximum, isStreaming))
        if !whole.isFailed, !isStreaming, whole.isComplete, whole.isRouted {
            try unsafe rename(body, field, whole)
        }
        try unsafe text(body)
    }

    /// A scanner and what it has said.
    struct Scan: Equatable, CustomStringConvertible {
        private var scanner: RoutingScanner
        private var outcome = RoutingScanner.Outcome.needMore
        private var place = [UInt8](repeating: 0, count: RoutingScanner.nameMaximum)

        init(_ scanner: RoutingScanner) { self.scanner = scanner }

        mutating func feed(_ bytes: UnsafeRawBufferPointer) {
            outcome = unsafe place.withUnsafeMutableBufferPointer { place in
                guard let start = place.baseAddress else { return .needMore }
                return unsafe scanner.scan(bytes, name: start)
            }
        }

        var isFailed: Bool { failure != nil }
        var failure: RoutingScanner.Failure? {
            if case .failed(let failure) = outcome { failure } else { nil }
        }
        var isRouted: Bool { outcome == .routed }
        var isComplete: Bool { scanner.isComplete }
        var name: [UInt8] { Array(place[..<scanner.nameCount]) }
        var messageLength: Int { scanner.messageLength }

        static func == (one: Scan, other: Scan) -> Bool {
            if one.isFailed || other.isFailed { return one.outcome == other.outcome }
            return one.outcome == other.outcome && one.isComplete == other.isComplete
                && one.messageLength == other.messageLength
                // Half a name means nothing yet.
                && (!one.isRouted || one.name == other.name)
        }

        var description: String { "\(outcome), complete \(isComplete), name \(name)" }
    }

    /// The same question, asked of the whole body by ``WireReader``.
    struct Reference {
        /// Its first byte is neither 0 nor 1.
        var hasBadFlag = false
        var isCompressed = false
        var isTooLarge = false
        /// The first message's fields; nil while it isn't whole.
        var name: [UInt8]?
        var names = 0
        var isMalformed = false
        var hasMessage = false
        var rest = 0

        init(
            _ body: UnsafeRawBufferPointer,
            _ field: Int,
            _ maximum: Int,
            _ isStreaming: Bool
        ) {
            guard let flag = unsafe body.first else { return }
            hasBadFlag = flag > 1
            isCompressed = flag == 1
            guard body.count >= 5 else { return }
            let length = unsafe body[1..<5].reduce(0) { $0 << 8 | Int($1) }
            isTooLarge = length > maximum
            guard body.count - 5 >= length else { return }
            hasMessage = true
            rest = body.count - 5 - length
            guard !isCompressed, !hasBadFlag else { return }
            var reader = unsafe WireReader(
                UnsafeRawBufferPointer(rebasing: body[5..<(5 + length)])
            )
            name = []
            do throws(WireFailure) {
                while let found = try reader.nextField() {
                    guard found.number == field, case .bytes(let text) = found.value else {
                        continue
                    }
                    names += 1
                    name = unsafe Array(text)
                }
            } catch {
                isMalformed = true
            }
        }
    }

    private static func check(_ scan: Scan, _ reference: Reference) throws(Finding) {
        if reference.hasBadFlag {
            try expect(scan.failure == .malformed, "a flag that isn't one, but \(scan)")
        } else if reference.isTooLarge {
            try expect(scan.failure == .tooLarge, "too large, but \(scan)")
        } else if reference.isCompressed {
            // It names nothing until it is decoded; its end is found all the same.
            let isFurther = reference.hasMessage && reference.rest > 0
            try expect(
                scan.isFailed ? scan.failure == .secondMessage && isFurther : !scan.isRouted,
                "compressed, but \(scan)"
            )
            try expect(
                scan.isFailed || scan.isComplete == reference.hasMessage,
                "a compressed message's end, but \(scan)"
            )
        } else if reference.hasMessage {
            let isBad =
                reference.isMalformed || reference.names > 1
                || (reference.name?.count ?? 0) > RoutingScanner.nameMaximum
            if isBad {
                // On a stream, too: the first message is scanned to its end.
                try expect(scan.isFailed, "a bad message, but \(scan)")
            } else if scan.isFailed {
                try expect(
                    reference.rest > 0 && scan.failure == .secondMessage,
                    "a good message, but \(scan)"
                )
            } else {
                try expect(
                    scan.isRouted && scan.name == reference.name,
                    "\(reference.name ?? []), but \(scan)"
                )
            }
        }
    }

    private static func rename(
        _ body: UnsafeRawBufferPointer,
        _ field: Int,
        _ scan: Scan
    ) throws(Finding) {
        guard let renamed = unsafe ModelRename.replace(in: body, field: field, with: "renamed")
        else {
            try expect(scan.name.isEmpty, "the name \(scan.name) can't be replaced")
            return
        }
        let again = unsafe renamed.withUnsafeBytes {
            unsafe Reference($0, field, .max, false)
        }
        try expect(
            again.hasMessage && !again.isMalformed && again.names == 1 && again.rest == 0
                && again.name == Array("renamed".utf8),
            "renamed to \(again)"
        )
        let before = body.count - scan.name.count
        // The length of the name may have been written in more bytes than it takes.
        try expect(
            renamed.count <= before + 7 && renamed.count + 9 >= before + 7 - 1,
            "\(renamed.count) bytes from \(body.count)"
        )
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        let text = unsafe String(decoding: bytes, as: UTF8.self)
        let encoded = StatusMessage.encode(text)
        try expect(
            encoded.utf8.allSatisfy { $0 >= 0x20 && $0 <= 0x7E },
            "not printable: \(encoded)"
        )
        try expect(StatusMessage.decode(encoded) == text, "\(encoded) is not \(text)")
        try expect(StatusMessage.decode(text).utf8.count <= 3 * text.utf8.count, "grown")
        let method = unsafe GRPCMethod.lookup(bytes)
        try expect(
            method == .unknown || "\(method.path)" == text,
            "\(method) is not \(text)"
        )
    }
}
