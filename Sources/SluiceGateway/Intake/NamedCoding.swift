import SluiceCompression
import SluiceCore
import SluiceHTTP

/// How a body or a message is coded, as its head says (RFC 9110 §8.4; gRPC's `grpc-encoding`).
enum NamedCoding: Equatable {
    /// As it is: `identity` is no coding, and neither is an empty member of the list.
    case none
    /// One that is read here.
    case known(ContentCoding)
    /// One that isn't, or several.
    case unknown

    /// What `field` of a head says: `content-encoding` or `grpc-encoding`.
    init(_ head: FieldBlock, _ field: FieldName) {
        self = .none
        guard let first = head.index(of: field) else { return }
        for index in first..<head.count
        where head[index].name == field && !head[index].isRemoved {
            unsafe add(head.value(of: head[index]))
        }
    }

    private mutating func add(_ list: UnsafeRawBufferPointer) {
        var found = self
        unsafe ListText.forEach(in: list) { name in
            guard unsafe !name.isEmpty, unsafe !ASCII.equal(name, ignoringCaseOf: "identity")
            else { return }
            // A coding on top of another would have to be taken off first.
            guard found == .none else {
                found = .unknown
                return
            }
            // RFC 9110 §8.4.1.3: `x-gzip` is another word for it.
            if unsafe ASCII.equal(name, ignoringCaseOf: "gzip")
                || ASCII.equal(name, ignoringCaseOf: "x-gzip")
            {
                found = .known(.gzip)
            } else if unsafe ASCII.equal(name, ignoringCaseOf: "deflate") {
                found = .known(.deflate)
            } else {
                found = .unknown
            }
        }
        self = found
    }

    /// The coding, if it is read here.
    var coding: ContentCoding? {
        if case .known(let coding) = self { coding } else { nil }
    }
}

extension InflateFailure {
    /// What is wrong, and which limit it is about.
    var sentence: String {
        switch self {
        case .malformed(let reason): "it is malformed (\(reason))"
        case .truncated: "it ends too early"
        case .tooLarge(let limit): "it becomes longer than \(limit) bytes (limits.maxRequestBytes)"
        case .tooDense:
            "it becomes more than \(Inflater.ratioMaximum) times as long as it is, which only bodies of up to \(Inflater.freeByteCount) bytes may"
        case .outOfMemory: "there is no memory for it"
        }
    }
}
