package import SluiceCore
import SluiceWire

/// A V1 prediction request as text (TensorFlow Serving, "RESTful API"; KServe V1): found, not read.
///
/// Slices are borrowed from the body, which must stay where it is while they are in use.
@safe
package struct V1Request {
    /// A top-level member.
    @safe
    struct Member {
        let name: String
        let value: UnsafeRawBufferPointer
    }

    /// Whether the data came as `instances`, a list of examples, and not as `inputs`.
    package private(set) var isInstances = false
    /// The value of `instances` or `inputs`.
    package private(set) var data = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// `serving_default` when there is none.
    package private(set) var signatureName = "serving_default"
    /// All members in order, the data among them.
    private(set) var members: [Member] = []
    let body: UnsafeRawBufferPointer

    /// Reads a body as far as its top-level members.
    ///
    /// Values are found by their brackets; what is inside is checked by whoever reads it, and that is
    /// the backend where the text goes on as it is.
    ///
    /// Throws when it has both `instances` and `inputs`, or neither, and for members that repeat.
    package init(_ body: UnsafeRawBufferPointer) throws(InferenceFailure) {
        unsafe self.body = body
        var names: Set<String> = []
        var cursor = unsafe JSONCursor(body)
        do throws(JSONFailure) {
            try cursor.enterObject()
            while let name = try cursor.nextMember() {
                members.append(unsafe Member(name: name.string, value: try cursor.skim()))
            }
            try cursor.finish()
        } catch {
            throw InferenceFailure(error)
        }
        for member in members {
            guard names.insert(member.name).inserted else {
                throw InferenceFailure("the body has '\(member.name)' twice")
            }
            switch member.name {
            case "instances", "inputs":
                guard unsafe data.baseAddress == nil else {
                    throw InferenceFailure(
                        "the body has both 'instances' and 'inputs'; send one of them"
                    )
                }
                unsafe data = unsafe member.value
                isInstances = member.name == "instances"
            case "signature_name":
                var text = unsafe JSONCursor(member.value)
                guard let name = try? text.string() else {
                    throw InferenceFailure("'signature_name' must be text")
                }
                signatureName = name.string
            default: break
            }
        }
        guard unsafe data.baseAddress != nil else {
            throw InferenceFailure("the body has neither 'instances' nor 'inputs'")
        }
        guard unsafe !isInstances || data.first == UInt8(ascii: "[") else {
            throw InferenceFailure("'instances' must be a list, one entry for each example")
        }
    }

    /// The entries of `instances`, each as its text.
    package var instances: [UnsafeRawBufferPointer] {
        get throws(InferenceFailure) { unsafe try JSONList.elements(data, "'instances'") }
    }

    /// Whether the data is rows, to be answered by `predictions`.
    package func isRows(_ runtimeKind: RuntimeKind) -> Bool {
        unsafe isInstances || runtimeKind.v1InputsAreRows && data.first == UInt8(ascii: "[")
    }
}

/// A JSON array's elements as text.
enum JSONList {
    /// The elements of the array `text`, which is checked on the way.
    static func elements(
        _ text: UnsafeRawBufferPointer,
        _ what: StaticString
    ) throws(InferenceFailure) -> [UnsafeRawBufferPointer] {
        var found: [UnsafeRawBufferPointer] = unsafe []
        var cursor = unsafe JSONCursor(text)
        do throws(JSONFailure) {
            try cursor.enterArray()
            while try cursor.nextElement() { unsafe found.append(try cursor.skip()) }
            try cursor.finish()
        } catch {
            throw InferenceFailure(
                "\(what) must be a JSON list: \(error.sentence) at byte \(error.offset) of it"
            )
        }
        return unsafe found
    }
}

extension CanonicalRequest {
    /// Feeds a V1 request that goes on as V1 to a digest: its text without white space, members sorted.
    ///
    /// See ``CanonicalRequest`` for why V1 has a domain of its own, and ``TensorRows`` for its rows.
    package static func write(
        _ request: V1Request,
        _ context: KeyContext,
        scratch: inout ByteBuffer,
        into digest: (UnsafeRawBufferPointer) -> Void
    ) {
        var head = unsafe CanonicalBytes(.v1, context, version: context.version)
        head.append(count: request.members.count)
        for member in request.members.sorted(by: { $0.name < $1.name }) {
            head.append(member.name)
            scratch.removeAll()
            unsafe scratch.append(compact: member.value)
            head.append(count: scratch.count)
            unsafe head.flush(into: digest)
            unsafe digest(scratch.bytes)
        }
        unsafe head.flush(into: digest)
    }
}

extension ByteBuffer {
    /// Appends JSON text without the white space between its tokens.
    mutating func append(compact text: UnsafeRawBufferPointer) {
        let place = unsafe reserve(text.count)
        var written = 0
        var isInString = false
        var isEscaped = false
        for index in 0..<text.count {
            let byte = unsafe text[index]
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == ASCII.quote {
                    isInString = false
                }
            } else if byte <= ASCII.space {
                continue
            } else if byte == ASCII.quote {
                isInString = true
            }
            unsafe place[written] = byte
            written += 1
        }
        commit(written)
    }
}
