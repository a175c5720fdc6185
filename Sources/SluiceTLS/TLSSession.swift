// TLS between two memory buffers: cipher text in, plain text out, and back.
private import COpenSSL
package import SluiceCore

/// One connection's TLS state; owns no descriptor and reads no clock.
@safe
package final class TLSSession {
    private let ssl: OpaquePointer
    // Owned by `ssl` since SSL_set_bio.
    private let incoming: OpaquePointer
    // OpenSSL calls the context's owner back while the session lives.
    private let owner: AnyObject
    private let outgoing: OpaquePointer
    /// Whether both sides have agreed.
    package private(set) var isHandshakeComplete = false
    /// Whether the peer has said that it sends nothing more.
    package private(set) var peerClosed = false

    /// Takes over `ssl`, whose role is set, and keeps the context it came from alive.
    init(_ ssl: OpaquePointer, of owner: AnyObject) {
        self.owner = owner
        guard let incoming = unsafe BIO_new(BIO_s_mem()), let outgoing = unsafe BIO_new(BIO_s_mem())
        else { preconditionFailure("out of memory for a TLS session") }
        unsafe copenssl_empty_means_retry(incoming)
        unsafe copenssl_empty_means_retry(outgoing)
        unsafe SSL_set_bio(ssl, incoming, outgoing)
        unsafe self.ssl = ssl
        unsafe self.incoming = incoming
        unsafe self.outgoing = outgoing
    }

    deinit {
        // Else OpenSSL takes a connection that just ended for a bad one, and its session can't be
        // resumed.
        unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        unsafe SSL_free(ssl)
    }

    /// OpenSSL's own, for what asks about the peer; valid while this object lives.
    var handle: OpaquePointer { unsafe ssl }

    // MARK: - Facts

    /// What ALPN settled on; nil without ALPN.
    package var negotiatedProtocol: TLSApplicationProtocol? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &name, &length)
        guard let name = unsafe name, length > 0 else { return nil }
        let text = unsafe String(
            decoding: UnsafeBufferPointer(start: name, count: Int(length)),
            as: UTF8.self
        )
        return TLSApplicationProtocol.allCases.first { $0.name == text }
    }

    /// Whether the version is 1.3.
    package var isTLS13: Bool { unsafe SSL_version(ssl) == TLS1_3_VERSION }

    /// Whether an earlier session was resumed.
    package var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    // MARK: - Bytes

    /// Takes cipher text from the network; the handshake goes as far as it can.
    package func receive(_ bytes: UnsafeRawBufferPointer) throws(TLSFailure) {
        let written = unsafe BIO_write(incoming, bytes.baseAddress, Int32(clamping: bytes.count))
        precondition(Int(written) == bytes.count, "a memory BIO takes everything")
        if !isHandshakeComplete { try shakeHands() }
    }

    /// Begins a handshake (client), or goes on with it.
    package func shakeHands() throws(TLSFailure) {
        ERR_clear_error()
        let result = unsafe SSL_do_handshake(ssl)
        if result == 1 {
            isHandshakeComplete = true
            return
        }
        try unsafe check(SSL_get_error(ssl, result), "the handshake failed")
    }

    /// Plain text for the protocol above; 0 when there is none now.
    package func read(into memory: UnsafeMutableRawBufferPointer) throws(TLSFailure) -> Int {
        guard isHandshakeComplete else { return 0 }
        var total = 0
        // Records are at most 16 KiB; one call here fills what the caller has room for.
        while total < memory.count {
            ERR_clear_error()
            var count = 0
            let result = unsafe SSL_read_ex(
                ssl,
                memory.baseAddress.map { unsafe $0 + total },
                memory.count - total,
                &count
            )
            if result == 1 {
                total += count
                continue
            }
            try unsafe check(SSL_get_error(ssl, result), "reading failed")
            break
        }
        return total
    }

    /// Encrypts plain text; returns how many bytes were taken, 0 before the handshake's end.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(TLSFailure) -> Int {
        guard isHandshakeComplete, unsafe !bytes.isEmpty else { return 0 }
        var total = 0
        while total < bytes.count, total < TLSSession.writeMaximum {
            ERR_clear_error()
            var count = 0
            let result = unsafe SSL_write_ex(
                ssl,
                bytes.baseAddress.map { unsafe $0 + total },
                bytes.count - total,
                &count
            )
            guard result == 1 else {
                try unsafe check(SSL_get_error(ssl, result), "writing failed")
                break
            }
            total += count
        }
        return total
    }

    // Plain text encrypted in one go, so that what waits for the socket stays bounded.
    private static let writeMaximum = 256 << 10

    /// Moves cipher text that must be sent to the end of `output`.
    package func drainOutput(into output: inout ByteBuffer) {
        while true {
            let waiting = unsafe Int(copenssl_pending(outgoing))
            guard waiting > 0 else { return }
            let place = unsafe output.reserve(waiting)
            let count = unsafe BIO_read(outgoing, place, Int32(clamping: waiting))
            guard count > 0 else { return }
            output.commit(Int(count))
        }
    }

    /// Says that nothing more will be sent.
    package func close() {
        guard isHandshakeComplete else { return }
        ERR_clear_error()
        _ = unsafe SSL_shutdown(ssl)
        ERR_clear_error()
    }

    /// What is wrong with the peer's certificate, for the sentence of a handshake that failed.
    private var complaint: String {
        let result = unsafe SSL_get_verify_result(ssl)
        guard !isHandshakeComplete, result != Int(X509_V_OK),
            let text = unsafe X509_verify_cert_error_string(result)
        else { return "" }
        return unsafe " (certificate: \(String(cString: text)))"
    }

    private func check(_ code: Int32, _ attempt: String) throws(TLSFailure) {
        switch code {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
        case SSL_ERROR_ZERO_RETURN: peerClosed = true
        default: throw .queued(attempt + complaint)
        }
    }
}
