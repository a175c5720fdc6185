import SluiceCore
import SluiceHTTP

/// Fields of our own that requests to one backend have, in place of the caller's of the same names.
///
/// Their values may be keys: they are in no text, and HPACK's tables never have them (RFC 7541 §7.1.3).
package final class BackendFields: Sendable, CustomStringConvertible {
    private let fields: [(name: [UInt8], value: [UInt8])]

    /// Fields with names in lower case and values as RFC 9110 §5.5 allows; nil for none.
    package init?(_ fields: [(name: String, value: String)]) {
        guard !fields.isEmpty else { return nil }
        self.fields = fields.map { (Array($0.name.utf8), Array($0.value.utf8)) }
    }

    package var description: String { "\(fields.count) fields" }

    /// Takes what a caller says under their names out of a head or trailers.
    func strip(from block: FieldBlock) {
        for index in 0..<block.count where !block[index].isRemoved {
            if unsafe contains(block.name(of: block[index])) { block.remove(at: index) }
        }
    }

    /// Puts them into the head of a request.
    func put(into head: FieldBlock) {
        strip(from: head)
        for field in fields {
            unsafe field.name.withUnsafeBytes { name in
                unsafe field.value.withUnsafeBytes { value in
                    unsafe head.append(name: name, value: value)
                }
            }
            head.markSecret(at: head.count - 1)
        }
    }

    private func contains(_ name: UnsafeRawBufferPointer) -> Bool {
        fields.contains { field in
            guard field.name.count == name.count else { return false }
            return unsafe name.elementsEqual(field.name)
        }
    }
}

/// What changes a request for one backend: a path before ours, and fields of our own.
final class BackendAdditions {
    private let basePath: [UInt8]
    private let fields: BackendFields?

    /// Nil where there is nothing to change.
    init?(_ plan: BackendPlan) {
        basePath = Array((plan.rest?.basePath ?? "").utf8)
        fields = plan.fields
        if basePath.isEmpty, fields == nil { return nil }
    }

    /// Changes a head that goes to the backend, and nowhere else afterwards.
    func put(into head: FieldBlock, isGRPC: Bool) {
        if !isGRPC, !basePath.isEmpty, let path = unsafe head.first(.path) {
            let whole = unsafe basePath + path
            unsafe whole.withUnsafeBytes { unsafe head.set(.path, $0) }
        }
        fields?.put(into: head)
    }

    /// Takes out of a caller's trailers what the head says in its place.
    func strip(from trailers: FieldBlock) { fields?.strip(from: trailers) }
}
