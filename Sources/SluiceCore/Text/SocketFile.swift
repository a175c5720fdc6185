// How a Unix socket's file is written, as gRPC and others name it (gRPC, "Name Resolution"):
//
//     unix:///run/sluice/data.sock     unix:/run/sluice/data.sock     an absolute path
//     unix:data.sock                                                  a relative one
//
// Characters that mean something in a URL are written `%XX` (RFC 3986 §2.1). A scheme may stand before
// `unix` with a `+`, as `h2c+unix:///run/model.sock`; that is its reader's business.

/// The file of a Unix socket, as configuration and commands name it.
package enum SocketFile {
    /// Bytes of a path, at most: `sun_path` of unix(7) without its end.
    package static let pathMaximum = 107

    /// What a text turned out to be.
    package enum Reading: Sendable, Equatable {
        /// Not a socket's file at all.
        case other
        /// A path; it has a slash, which no host has.
        case path(String)
        /// Meant for one, and what is wrong with it.
        case wrong(String)
    }

    /// Reads `unix:…`; a relative path is relative to `folder`.
    package static func read(_ text: String, relativeTo folder: String = ".") -> Reading {
        guard !text.hasPrefix("unix-abstract:") else { return .wrong(abstract) }
        guard text.hasPrefix("unix:") else { return .other }
        var rest = text.dropFirst("unix:".count)
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            // Some clients write the path as a host: unix://%2Frun%2Fsluice.sock.
            let isAbsolute = rest.hasPrefix("/") || rest.lowercased().hasPrefix("%2f")
            guard isAbsolute || rest.hasPrefix("@") || rest.isEmpty else {
                return .wrong(
                    "a socket's absolute path follows unix:// with a slash of its own, as unix:///run/sluice.sock"
                )
            }
        }
        guard !rest.hasPrefix("@"), !rest.hasPrefix("\0") else { return .wrong(abstract) }
        guard let decoded = PercentEncoding.decoded(rest), !decoded.utf8.contains(0) else {
            return .wrong("a % in a socket's path begins two hexadecimal digits, and is itself %25")
        }
        guard !decoded.isEmpty, !decoded.hasSuffix("/") else {
            return .wrong("a socket's path ends in a file's name, as unix:///run/sluice.sock")
        }
        let path = decoded.hasPrefix("/") ? decoded : "\(folder)/\(decoded)"
        guard path.utf8.count <= pathMaximum else {
            return .wrong(
                "a socket's path has at most \(pathMaximum) bytes, and this one has \(path.utf8.count)"
            )
        }
        return .path(path)
    }

    private static let abstract =
        "an abstract socket has no file whose permissions could guard it; name a file, as unix:///run/sluice.sock"

    /// `unix:///PATH`, or `unix:PATH` for a relative one; visible ASCII only, so that it fits header
    /// fields and labels.
    package static func text(of path: String) -> String {
        var text = path.hasPrefix("/") ? "unix://" : "unix:"
        for byte in path.utf8 {
            if byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "%") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%" + String(byte >> 4, radix: 16, uppercase: true)
                text += String(byte & 15, radix: 16, uppercase: true)
            }
        }
        return text
    }
}
