package import SluiceCore
// Interface the TLS room promises; replaced when the room is built.
package struct TLSFailure: Error, Sendable {}
package enum TLSApplicationProtocol: Sendable { case http2, http1 }
package final class TLSServerContext: Sendable { package func makeSession() -> TLSSession { TLSSession() } }
package final class TLSClientContext: Sendable { package func makeSession(serverName: String) -> TLSSession { TLSSession() } }
@safe package final class TLSSession {
    package var isTLS13: Bool { true }
    package var isHandshakeComplete: Bool { true }
    package var negotiatedProtocol: TLSApplicationProtocol? { nil }
    package var peerClosed: Bool { false }
    package func receive(_ c: UnsafeRawBufferPointer) throws(TLSFailure) {}
    package func read(into m: UnsafeMutableRawBufferPointer) throws(TLSFailure) -> Int { 0 }
    package func write(_ p: UnsafeRawBufferPointer) throws(TLSFailure) -> Int { 0 }
    package func drainOutput(into b: inout ByteBuffer) {}
    package func close() {}
}
