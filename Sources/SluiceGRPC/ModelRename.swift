import SluiceWire

/// Gives a gRPC request's message another model name.
///
/// A backend may know a model by another name (`modelName`). In a REST path that is easy; a gRPC
/// message says the name in a field, in front of which stands the message's length, so both change
/// and everything else passes as it is.
package enum ModelRename {
    private static let prefixBytes = 5

    /// `beginning` with the name replaced; nil when it holds no whole name field.
    ///
    /// `beginning` is the body from its first byte (flag, length, message) at least as far as the
    /// end of field `field`, which ``RoutingScanner`` has found there and has found only once.
    package static func replace(
        in beginning: UnsafeRawBufferPointer,
        field: Int,
        with name: String
    ) -> [UInt8]? {
        guard beginning.count > prefixBytes, unsafe beginning[0] == 0 else { return nil }
        let message = unsafe UnsafeRawBufferPointer(rebasing: beginning[prefixBytes...])
        var reader = unsafe WireReader(message)
        var start = 0
        while let found = try? reader.nextField() {
            // Of another wire type it is a field nobody knows, not the name.
            guard found.number == field, case .bytes = found.value else {
                start = reader.offset
                continue
            }
            var writer = WireWriter()
            unsafe writer.bytes += message[..<start]
            writer.string(field: field, name)
            let shift = writer.bytes.count - reader.offset
            unsafe writer.bytes += message[reader.offset...]
            let length = unsafe beginning[1..<prefixBytes].reduce(0) { $0 << 8 | Int($1) } + shift
            return GRPCFrame.prefix(length: length) + writer.bytes
        }
        return nil
    }
}
