private import SluiceCore
private import SluiceWire

/// `grpc.reflection.v1` and `v1alpha` `ServerReflection`: the same messages under two names.
///
/// Answers about the services the gateway serves, so that tools can call without .proto files.
package enum ReflectionService {
    private struct File {
        var name = ""
        var bytes: [UInt8] = []
        var symbols: [String] = []
        var services: [String] = []
    }

    private static let files = load()

    /// The answer to one ServerReflectionRequest; a broken one gets an error response.
    package static func answer(_ request: [UInt8]) -> [UInt8] {
        var answer = WireWriter()
        answer.bytes(field: 2, request)
        unsafe request.withUnsafeBytes { bytes in
            var reader = unsafe WireReader(bytes)
            var isAnswered = false
            while !isAnswered, let field = try? reader.nextField() {
                guard case .bytes(let text) = field.value else { continue }
                let name = unsafe String(decoding: text, as: UTF8.self)
                isAnswered = true
                switch field.number {
                case 3: write(files.first { $0.name == name }, missing: name, to: &answer)
                case 4:
                    write(
                        files.first { $0.symbols.contains(name) },
                        missing: name,
                        to: &answer
                    )
                case 5, 6: fail(5, "there are no extensions here", &answer)
                case 7:
                    answer.message(field: 6) { list in
                        for service in files.flatMap(\.services) {
                            list.message(field: 1) { $0.string(field: 1, service) }
                        }
                    }
                default: isAnswered = false
                }
            }
            if !isAnswered { fail(3, "the request asks for nothing", &answer) }
        }
        return answer.bytes
    }

    private static func write(_ file: File?, missing name: String, to answer: inout WireWriter) {
        guard let file else {
            fail(5, "unknown here: \(name)", &answer)
            return
        }
        answer.message(field: 4) { $0.bytes(field: 1, file.bytes) }
    }

    private static func fail(_ code: UInt64, _ text: String, _ answer: inout WireWriter) {
        answer.message(field: 7) { error in
            error.varint(field: 1, code)
            error.string(field: 2, text)
        }
    }

    // MARK: - google/protobuf/descriptor.proto

    private static func load() -> [File] {
        guard let set = Base64.decode(Descriptors.base64.utf8) else { return [] }
        return fields(1, of: set).map { bytes in
            var file = File()
            file.bytes = bytes
            file.name = string(1, of: bytes)
            let package = string(2, of: bytes)
            for message in fields(4, of: bytes) { collect(message, in: package, &file.symbols) }
            for service in fields(6, of: bytes) {
                let name = "\(package).\(string(1, of: service))"
                file.services.append(name)
                file.symbols.append(name)
                for method in fields(2, of: service) {
                    file.symbols.append("\(name).\(string(1, of: method))")
                }
            }
            return file
        }
    }

    private static func collect(_ message: [UInt8], in scope: String, _ symbols: inout [String]) {
        let name = "\(scope).\(string(1, of: message))"
        symbols.append(name)
        for nested in fields(3, of: message) { collect(nested, in: name, &symbols) }
        for nested in fields(4, of: message) {
            symbols.append("\(name).\(string(1, of: nested))")
        }
    }

    private static func fields(_ number: Int, of message: [UInt8]) -> [[UInt8]] {
        unsafe message.withUnsafeBytes { bytes in
            var reader = unsafe WireReader(bytes)
            var found: [[UInt8]] = []
            while let field = try? reader.nextField() {
                if field.number == number, case .bytes(let value) = field.value {
                    found.append(unsafe [UInt8](value))
                }
            }
            return found
        }
    }

    private static func string(_ number: Int, of message: [UInt8]) -> String {
        String(decoding: fields(number, of: message).last ?? [], as: UTF8.self)
    }
}
