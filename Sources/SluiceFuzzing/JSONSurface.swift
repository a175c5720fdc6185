// JSON: [mode][text]
//
// Mode 0: all readers of JSON must agree, Foundation's among them, and an array of numbers is what its
// elements are one by one. 1: a V2 request means the same in protobuf and read back. 2: V1 requests and
// answers are translated to what can be read. 3: answers cut into rows make the answer again.
import SluiceCore
import SluiceInference
import SluiceWire

enum JSONSurface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard let mode = unsafe bytes.first else { return }
        let text = unsafe bytes.after(1)
        switch mode & 7 {
        case 1: try unsafe MessageSurface.json(text, headerLength: nil)
        case 2: try unsafe V1Surface.check(text)
        case 3: try unsafe RowSurface.check(text, headerLength: nil)
        default: try unsafe readers(text, mode >> 3)
        }
    }

    private static func readers(_ text: UnsafeRawBufferPointer, _ choice: UInt8) throws(Finding) {
        let isStrict = choice & 1 == 0
        let isSkipped = unsafe JSONVerdict.skip(text, allowsNonFinite: !isStrict)
        let walked = unsafe JSONVerdict.walk(text, allowsNonFinite: !isStrict)
        try expect(isSkipped == (walked != nil), "skipped \(isSkipped), walked otherwise")
        let bytes = unsafe Array(text)
        // The tree allows 100 levels, and always the tokens.
        let tree = try? JSONParser.parse(bytes)
        let brackets = bytes.count { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }
        if !isStrict, brackets <= JSONCursor.depthMaximum {
            try expect(tree == walked, "the tree differs")
            if let tree {
                let again = tree.serialized
                try expect((try? JSONParser.parse(again)) == tree, "it is written as \(again)")
            }
        }
        if isStrict, brackets <= 64, !JSONVerdict.foundationDiffers(bytes) {
            let verdict = JSONVerdict.foundation(bytes)
            try expect(verdict == isSkipped, "Foundation says \(verdict)")
        }
        let types = JSONNumberType.allCases
        try unsafe numbers(text, types[Int(choice >> 1) % types.count], tree)
    }

    private static func numbers(
        _ text: UnsafeRawBufferPointer,
        _ type: JSONNumberType,
        _ tree: JSONValue?
    ) throws(Finding) {
        var cursor = unsafe JSONCursor(text)
        // Each number takes two bytes of text at least, and eight of memory at most.
        var output = [UInt8](repeating: 0, count: 4 * text.count + 8)
        let found = unsafe output.withUnsafeMutableBytes {
            unsafe try? cursor.numbers(type, into: $0)
        }
        let shape = (try? cursor.finish()) == nil ? nil : found?.array
        var reference = NumberReference(type: type)
        let expected = tree.flatMap { reference.read($0) }
        try expect(shape == expected, "\(type): \(shape ?? [-1]), not \(expected ?? [-1])")
        guard shape != nil else { return }
        try expect(output.starts(with: reference.bytes), "\(type): other elements")
    }
}
