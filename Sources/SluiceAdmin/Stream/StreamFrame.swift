import SluiceWire

/// A `state` message while it is put together.
struct StreamFrame {
    /// Where in the message a text goes.
    enum Group: Int, CaseIterable {
        case head, line, member, revision, backend, gone
    }

    /// The opened model's name, if one is there.
    var model: String?
    private var room: Int
    private let isFull: Bool
    private var texts: [[UInt8]]

    /// Bytes around the texts: the message's own and the groups' brackets and names.
    private static let overhead = 512
    private static let giant = StreamBudget.bytesPerSecond * 3 / 4

    /// A frame with room for so many bytes; `isFull` if there will never be more room than now.
    init(room: Int, isFull: Bool, clock: [UInt8]) {
        self.room = room - clock.count - StreamFrame.overhead
        self.isFull = isFull
        texts = Array(repeating: [], count: Group.allCases.count)
        texts[Group.head.rawValue] = clock
    }

    /// Adds a text if there is room for it; false if there isn't.
    mutating func add(_ text: [UInt8], to group: Group) -> Bool {
        // What is larger than any frame goes with a full bucket, and nothing large beside it.
        let isGiant = text.count + 1 > StreamFrame.giant && isFull && room > StreamFrame.giant
        guard text.count + 1 <= room || isGiant else { return false }
        room -= text.count + 1
        if !texts[group.rawValue].isEmpty { texts[group.rawValue].append(UInt8(ascii: ",")) }
        texts[group.rawValue] += text
        return true
    }

    /// The message's data.
    var text: [UInt8] {
        var text: [UInt8] = [UInt8(ascii: "{")]
        func separate() { if text.count > 1 { text.append(UInt8(ascii: ",")) } }
        func list(_ name: String, _ group: Group) {
            guard !texts[group.rawValue].isEmpty else { return }
            text += Array(",\"\(name)\":[".utf8) + texts[group.rawValue] + [UInt8(ascii: "]")]
        }
        text += texts[Group.head.rawValue]
        list("models", .line)
        let isModelChanged = [Group.member, .revision, .backend, .gone].contains {
            !texts[$0.rawValue].isEmpty
        }
        if let model, isModelChanged {
            text += Array(",\"model\":{\"name\":".utf8) + JSONValue.string(model).serialized
            if !texts[Group.member.rawValue].isEmpty {
                text += [UInt8(ascii: ",")] + texts[Group.member.rawValue]
            }
            list("revisions", .revision)
            list("backends", .backend)
            list("gone", .gone)
            text.append(UInt8(ascii: "}"))
        }
        text.append(UInt8(ascii: "}"))
        return text
    }
}
