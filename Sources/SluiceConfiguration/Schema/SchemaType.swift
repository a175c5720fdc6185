import SluiceCore
package import SluiceWire

/// What a configuration's key takes.
///
/// Its JSON Schema (draft 2020-12) is as exact as that language is: the bounds of times and sizes, which are texts with a
/// unit, stand in the description.
package indirect enum SchemaType: Sendable {
    case text(pattern: String? = nil)
    case choice([String])
    case flag
    /// `false`, which is what YAML 1.1 reads where `off` or `no` is written.
    case off
    case integer(ClosedRange<Int>)
    case number(from: Double, through: Double?)
    /// From 0 to 100, up to two decimals.
    case percent
    case duration(from: Duration)
    case bytes(from: Int, through: Int? = nil)
    case mapping(SchemaMapping)
    /// A mapping of names of the writer's choice, as the pattern has them, at most so many.
    case map(SchemaType, names: String, count: Int)
    case list(SchemaType, count: ClosedRange<Int>? = nil)
    case either([SchemaType])
}

/// A mapping of the configuration: its keys in the order of the documentation.
package struct SchemaMapping: Sendable {
    package var keys: [SchemaKey]
    /// Rules over several keys, as members of the JSON Schema.
    package var rules: [JSONValue.Member]

    /// A mapping.
    package init(_ keys: [SchemaKey], rules: [JSONValue.Member] = []) {
        self.keys = keys
        self.rules = rules
    }
}

/// A key of the configuration.
package struct SchemaKey: Sendable {
    package var name: String
    package var type: SchemaType
    /// What holds without the key, as it is written; nil where nothing does or it depends on other keys.
    package var plain: String?
    package var isRequired: Bool
    /// One or two sentences for who writes a configuration.
    package var summary: String

    /// A key.
    package init(
        _ name: String,
        _ type: SchemaType,
        plain: String? = nil,
        isRequired: Bool = false,
        _ summary: String
    ) {
        self.name = name
        self.type = type
        self.plain = plain
        self.isRequired = isRequired
        self.summary = summary
    }
}

// MARK: - JSON Schema

extension SchemaMapping {
    /// The members of the mapping's JSON Schema.
    package var members: [JSONValue.Member] {
        let required = keys.filter(\.isRequired).map { JSONValue.string($0.name) }
        var members: [JSONValue.Member] = [
            .init("type", .string("object")),
            .init("properties", .object(keys.map { .init($0.name, $0.json) })),
        ]
        if !required.isEmpty { members.append(.init("required", .array(required))) }
        return members + [.init("additionalProperties", .bool(false))] + rules
    }
}

extension SchemaKey {
    fileprivate var json: JSONValue {
        var members: [JSONValue.Member] = [.init("description", .string(summary + type.bounds))]
        if let plain { members.append(.init("default", type.value(plain))) }
        // A key without a value is no key.
        return .object(
            members + (isRequired ? type : .either([type])).alternatives(orNull: !isRequired)
        )
    }
}

extension SchemaType {
    /// The members of the schema; with `orNull` those of a key that may have no value.
    fileprivate func alternatives(orNull: Bool) -> [JSONValue.Member] {
        let several = flattened.map { JSONValue.object($0.members) }
        let all = orNull ? several + [.object([.init("type", .string("null"))])] : several
        if all.count == 1, case .object(let members) = all[0] { return members }
        return [.init("anyOf", .array(all))]
    }

    private var flattened: [SchemaType] {
        guard case .either(let types) = self else { return [self] }
        return types.flatMap(\.flattened)
    }

    private var members: [JSONValue.Member] {
        switch self {
        case .text(let pattern):
            // Names may look like numbers: `name: 1`.
            guard let pattern else {
                return [
                    .init("type", .array([.string("string"), .string("number")])),
                    .init("minLength", .number("1")),
                ]
            }
            return [.init("type", .string("string")), .init("pattern", .string(pattern))]
        case .choice(let words): return [.init("enum", .array(words.map(JSONValue.string)))]
        case .flag: return [.init("type", .string("boolean"))]
        case .off: return [.init("const", .bool(false))]
        case .integer(let range):
            return [
                .init("type", .string("integer")),
                .init("minimum", .number("\(range.lowerBound)")),
                .init("maximum", .number("\(range.upperBound)")),
            ]
        case .number(let minimum, let maximum):
            let bound = maximum.map { [JSONValue.Member("maximum", .number("\($0)"))] } ?? []
            // YAML 1.1 reads 1e-6 as text.
            return [
                .init("type", .array([.string("number"), .string("string")])),
                .init("minimum", .number("\(minimum)")),
            ] + bound + [.init("pattern", .string("^[0-9.]+([eE][-+]?[0-9]+)?$"))]
        case .percent:
            return [
                .init("type", .string("number")), .init("minimum", .number("0")),
                .init("maximum", .number("100")),
            ]
        case .duration(let minimum):
            // What is more than nothing has a digit that isn't zero.
            let some = minimum > .zero ? "(?=[0-9.]*[1-9])" : ""
            return [
                .init("type", .string("string")),
                .init("pattern", .string("^\(some)[0-9]+(\\.[0-9]+)?(us|ms|s|m|h)$")),
            ]
        case .bytes(let minimum, let maximum):
            let bound = maximum.map { [JSONValue.Member("maximum", .number("\($0)"))] } ?? []
            return [
                .init("type", .array([.string("integer"), .string("string")])),
                .init("minimum", .number("\(minimum)")),
            ] + bound + [.init("pattern", .string("^[0-9]+(\\.[0-9]+)?([KMG]iB|[kKMG]?B)?$"))]
        case .mapping(let mapping): return mapping.members
        case .map(let element, let names, let count):
            return [
                .init("type", .string("object")),
                .init("propertyNames", .object([.init("pattern", .string(names))])),
                .init("additionalProperties", .object(element.alternatives(orNull: false))),
                .init("maxProperties", .number("\(count)")),
            ]
        case .list(let element, let count):
            let counts =
                count.map {
                    [
                        JSONValue.Member("minItems", .number("\($0.lowerBound)")),
                        .init("maxItems", .number("\($0.upperBound)")),
                    ]
                } ?? [.init("minItems", .number("1"))]
            return [
                .init("type", .string("array")),
                .init("items", .object(element.alternatives(orNull: false))),
            ] + counts
        case .either: return alternatives(orNull: false)
        }
    }

    /// The bounds that the schema's own words can't say.
    fileprivate var bounds: String {
        switch self {
        case .duration(let minimum) where minimum > .zero: " At least \(Units.text(minimum))."
        case .bytes(let minimum, let maximum):
            " From \(Units.text(bytes: minimum))"
                + (maximum.map { " to \(Units.text(bytes: $0))." } ?? " up.")
        default: ""
        }
    }

    /// What is written, as a JSON value of this type.
    fileprivate func value(_ plain: String) -> JSONValue {
        switch self {
        case .flag: .bool(plain == "true")
        case .integer, .number, .percent: .number(plain)
        case .bytes: Int(plain).map { .number("\($0)") } ?? .string(plain)
        case .list(let element, _):
            .array(plain.split(separator: ",").map { element.value(String($0)) })
        case .either(let types): types[0].value(plain)
        default: .string(plain)
        }
    }
}

extension JSONValue {
    /// The value as JSON text for people: a member a line, indented.
    func lines(indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .object(let members) where !members.isEmpty:
            let rows = members.map { member in
                "\(inner)\(JSONValue.string(member.name).lines()): \(member.value.lines(indent: inner))"
            }
            return "{\n\(rows.joined(separator: ",\n"))\n\(indent)}"
        case .array(let elements) where elements.contains { !$0.isScalar }:
            let rows = elements.map { "\(inner)\($0.lines(indent: inner))" }
            return "[\n\(rows.joined(separator: ",\n"))\n\(indent)]"
        case .array(let elements):
            return "[\(elements.map { $0.lines() }.joined(separator: ", "))]"
        default: return String(decoding: serialized, as: UTF8.self)
        }
    }

    private var isScalar: Bool {
        switch self {
        case .object, .array: false
        default: true
        }
    }
}
