package import SluiceWire

/// All that listeners are told of, as one look at the gateway found it.
package struct StreamedState {
    /// A member of the gateway's own and the look that last found it changed.
    package private(set) var gateway: [(name: String, changed: Int, text: [UInt8])] = []
    package var list = ModelList()
    /// The models that listeners have opened.
    package private(set) var details: [String: ModelDetail] = [:]
    /// Said in every frame: what always changes.
    package private(set) var clock: [UInt8] = []

    /// A board before the first look.
    package init() {}

    /// Takes the time.
    package mutating func post(_ clock: [JSONValue.Member]) {
        self.clock = Array(JSONValue.object(clock).serialized.dropFirst().dropLast())
    }

    /// Takes what the gateway says of itself, in the list's look.
    package mutating func update(gateway members: [JSONValue.Member]) {
        gateway = members.map { member in
            let text = Array(JSONValue.object([member]).serialized.dropFirst().dropLast())
            if let old = gateway.first(where: { $0.name == member.name }), old.text == text {
                return old
            }
            return (member.name, list.look, text)
        }
    }

    /// Takes an opened model as it is in this look.
    package mutating func open(_ name: String, _ model: JSONValue) {
        details[name, default: ModelDetail()].update(model, look: list.look)
    }

    /// Forgets opened models but these.
    package mutating func keepOpen(only names: Set<String>) {
        details = details.filter { names.contains($0.key) }
    }
}
