import SluiceWire

/// What a server says of itself (Open Inference Protocol v2, "Server Metadata").
package struct ServerDescription: Equatable, Sendable {
    private var name = ""
    private var version = ""
    /// Nil where it doesn't tell any.
    private var extensions: [String]?

    /// Reads the answer to `GET /v2`; nil for one that doesn't name a server.
    package init?(json body: [UInt8]) {
        guard let document = try? JSONParser.parse(body), let name = document["name"]?.text else {
            return nil
        }
        self.name = name
        version = document["version"]?.text ?? ""
        extensions = document["extensions"]?.elements.map { $0.compactMap(\.text) }
    }

    /// Reads a ServerMetadataResponse; nil for what isn't one.
    ///
    /// An empty list can't be told from none, and what REST reads isn't told over gRPC anyway.
    package init?(protobuf message: UnsafeRawBufferPointer) {
        var reader = unsafe WireReader(message)
        do throws(InferenceFailure) {
            while let field = try reader.next() {
                switch field.number {
                case 1: name = try field.text("'name'")
                case 2: version = try field.text("'version'")
                default: break
                }
            }
        } catch {
            return nil
        }
    }

    /// The dialect of a server that is known by its name; nil for any other.
    package var namedKind: RuntimeKind? {
        switch name {
        case "triton": .triton
        case "mlserver": .mlserver
        // It reads binary tensors without saying so, from 0.14 on.
        case "kserve": isAtLeast(0, 14) ? .kserve : nil
        default: nil
        }
    }

    /// What the server says differently, as far as it tells.
    ///
    /// One that lists its extensions and not `binary_tensor_data` reads JSON only; one that lists none
    /// leaves that open.
    package var runtimeKind: RuntimeKind {
        if let namedKind { return namedKind }
        guard let extensions else { return .generic }
        return extensions.contains { $0.hasPrefix("binary_tensor_data") } ? .generic : .v2json
    }

    /// Whether `version` is that or a later one; a development version without numbers is.
    private func isAtLeast(_ major: Int, _ minor: Int) -> Bool {
        let parts = version.split(separator: ".").prefix(2).map { Int($0) }
        guard parts.count == 2, let first = parts[0], let second = parts[1] else { return true }
        return (first, second) >= (major, minor)
    }
}
