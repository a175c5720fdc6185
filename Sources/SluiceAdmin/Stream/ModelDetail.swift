package import SluiceWire

/// One model that listeners have opened, in parts: each has the look that last found it changed.
package struct ModelDetail {
    /// What a part says.
    package enum Key: Hashable, Sendable {
        /// A member of the model itself.
        case member(String)
        /// A revision, without its backends.
        case revision(String)
        case backend(revision: String, address: String)
    }

    /// A part as JSON: a member with its name, or an object.
    package struct Part {
        package let key: Key
        /// The look that found it changed.
        package let changed: Int
        package let text: [UInt8]
    }

    /// In the model's own order; members before revisions before backends.
    package private(set) var parts: [Part] = []
    /// The same by key.
    package private(set) var places: [Key: Int] = [:]
    /// The look it was last updated in.
    package private(set) var look = 0

    /// A model that nothing is known of yet.
    package init() {}

    /// Takes the model, as ``SluiceControl/StatusReport/model(_:_:_:)`` writes it, in look `look`.
    package mutating func update(_ model: JSONValue, look: Int) {
        guard look != self.look else { return }
        self.look = look
        guard case .object(let members) = model else { return }
        var (heads, revisions, backends): ([Part], [Part], [Part]) = ([], [], [])
        var names: [JSONValue] = []
        for member in members where member.name != "name" && member.name != "revisions" {
            heads.append(part(.member(member.name), text(of: member)))
        }
        for revision in model["revisions"]?.elements ?? [] {
            guard case .object(let members) = revision, let name = revision["name"]?.text else {
                continue
            }
            names.append(.string(name))
            let own = members.filter { $0.name != "backends" }
            revisions.append(part(.revision(name), JSONValue.object(own).serialized))
            for backend in revision["backends"]?.elements ?? [] {
                guard case .object(let members) = backend, let address = backend["address"]?.text
                else { continue }
                let object = JSONValue.object([.init("revision", .string(name))] + members)
                let key = Key.backend(revision: name, address: address)
                backends.append(part(key, object.serialized))
            }
        }
        let order = text(of: .init("order", .array(names)))
        heads.append(part(.member("order"), order))
        parts = heads + revisions + backends
        places = [:]
        for (place, part) in parts.enumerated() { places[part.key] = place }
    }

    private func part(_ key: Key, _ text: [UInt8]) -> Part {
        if let place = places[key], parts[place].text == text { return parts[place] }
        return Part(key: key, changed: look, text: text)
    }

    private func text(of member: JSONValue.Member) -> [UInt8] {
        // The object's inside.
        Array(JSONValue.object([member]).serialized.dropFirst().dropLast())
    }
}
