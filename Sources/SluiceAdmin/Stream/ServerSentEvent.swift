/// One message of an event stream, as text (WHATWG HTML, "Server-sent events", §9.2.6).
package enum ServerSentEvent {
    /// A message called `name` with `data`, which may have lines of its own.
    ///
    /// With an `id`, which has no lines, clients say at their next connection that they have it.
    package static func message(
        _ name: StaticString,
        data: [UInt8],
        id: String? = nil
    ) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(data.count + 32)
        text.append(contentsOf: Array("event: \(name)\n".utf8))
        if let id { text.append(contentsOf: Array("id: \(id)\n".utf8)) }
        // A line ends at CR LF, LF or CR: each would end the field as well.
        var line = data[...]
        while true {
            text.append(contentsOf: "data: ".utf8)
            guard let end = line.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) else { break }
            text.append(contentsOf: line[..<end])
            text.append(0x0A)
            let isPair = line[end] == 0x0D && line[(end + 1)...].first == 0x0A
            line = line[(end + (isPair ? 2 : 1))...]
        }
        text.append(contentsOf: line)
        text.append(contentsOf: [0x0A, 0x0A])
        return text
    }

    /// Tells the client how long to wait before it connects again.
    package static func retry(milliseconds: Int) -> [UInt8] {
        Array("retry: \(milliseconds)\n\n".utf8)
    }
}
