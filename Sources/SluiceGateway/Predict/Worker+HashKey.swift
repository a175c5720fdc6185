import SluiceBalancing
import SluiceCore
import SluiceHTTP

// What `ringHash` goes by.
extension Worker {
    /// The hash of what a request says in `source`; nil when it says nothing.
    func hashKey(_ flow: FlowPointer, _ source: HashSource) -> UInt64? {
        guard let head = unsafe flow.pointee.head else { return nil }
        for index in 0..<head.count where !head[index].isRemoved {
            let field = head[index]
            switch source {
            case .header(let name):
                guard unsafe name.utf8.elementsEqual(head.name(of: field)) else { continue }
                return unsafe StableHash.of(head.value(of: field))
            case .cookie(let name):
                guard field.name == .cookie,
                    let value = unsafe Worker.cookie(name, in: head.value(of: field))
                else { continue }
                return unsafe StableHash.of(value)
            }
        }
        return nil
    }

    /// The value of one cookie of a header field (RFC 6265 §4.2.1).
    private static func cookie(
        _ name: String,
        in field: UnsafeRawBufferPointer
    ) -> Slice<UnsafeRawBufferPointer>? {
        for unsafepair in unsafe field.split(separator: UInt8(ascii: ";")) {
            let trimmed = unsafe pair.drop { $0 == UInt8(ascii: " ") }
            guard let equals = unsafe trimmed.firstIndex(of: UInt8(ascii: "=")),
                unsafe trimmed[..<equals].elementsEqual(name.utf8)
            else { continue }
            return unsafe trimmed[(equals + 1)...]
        }
        return nil
    }
}
