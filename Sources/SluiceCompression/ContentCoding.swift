/// A coding that bodies and gRPC messages are compressed with (RFC 9110 §8.4.1; gRPC "Compression").
package enum ContentCoding: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// RFC 1952, one member or several.
    case gzip
    /// RFC 1950. Some HTTP servers send RFC 1951 without its header instead; that is read as well.
    case deflate
}
