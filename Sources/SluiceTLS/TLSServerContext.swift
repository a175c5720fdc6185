private import COpenSSL

/// A listener's certificate and rules: TLS 1.2 and 1.3, forward secrecy, AEAD ciphers.
///
/// Immutable, and shared by all workers. A reload makes a new context; connections that stand
/// keep the one they began with.
@safe
package final class TLSServerContext: @unchecked Sendable {
    // Unchecked: after init an SSL_CTX is only read and reference-counted, which OpenSSL does
    // under its own locks.
    private let context: OpaquePointer

    /// Loads a PEM chain and its key; `clientCAFile` turns on mutual TLS.
    package init(
        certificateFile: String, keyFile: String, clientCAFile: String?
    ) throws(TLSFailure) {
        guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw .queued("TLS can't be set up")
        }
        unsafe self.context = context
        unsafe TLSRules.apply(to: context)
        _ = unsafe SSL_CTX_set_options(
            context, UInt64(SSL_OP_CIPHER_SERVER_PREFERENCE) | SSL_OP_NO_RENEGOTIATION_FLAG)
        guard unsafe SSL_CTX_use_certificate_chain_file(context, certificateFile) == 1 else {
            throw .queued("certificate \(certificateFile)")
        }
        guard unsafe SSL_CTX_use_PrivateKey_file(context, keyFile, SSL_FILETYPE_PEM) == 1 else {
            throw .queued("private key \(keyFile)")
        }
        guard unsafe SSL_CTX_check_private_key(context) == 1 else {
            throw .queued("private key \(keyFile) doesn't belong to \(certificateFile)")
        }
        unsafe SSL_CTX_set_alpn_select_cb(context, chooseApplicationProtocol, nil)
        unsafe copenssl_bound_session_cache(context, 10_000)
        let name = Array("sluice".utf8)
        _ = unsafe SSL_CTX_set_session_id_context(context, name, UInt32(name.count))
        if let clientCAFile {
            guard unsafe SSL_CTX_load_verify_locations(context, clientCAFile, nil) == 1 else {
                throw .queued("client CA \(clientCAFile)")
            }
            unsafe SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(clientCAFile))
            unsafe SSL_CTX_set_verify(
                context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        }
    }

    deinit { unsafe SSL_CTX_free(context) }

    /// A session for a connection that has just been accepted.
    package func makeSession() -> TLSSession {
        guard let ssl = unsafe SSL_new(context) else {
            preconditionFailure("out of memory for a TLS session")
        }
        unsafe SSL_set_accept_state(ssl)
        return unsafe TLSSession(ssl)
    }
}

/// What servers and clients have in common.
enum TLSRules {
    static func apply(to context: OpaquePointer) {
        _ = unsafe copenssl_set_minimum_tls12(context)
        unsafe copenssl_release_buffers(context)
        // TLS 1.3's own list is strong throughout; this is for 1.2.
        _ = unsafe SSL_CTX_set_cipher_list(
            context, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL")
        _ = unsafe SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION_FLAG)
    }
}

// OpenSSL defines its options as casts, which Swift doesn't import.
private let SSL_OP_NO_COMPRESSION_FLAG: UInt64 = 1 << 17
private let SSL_OP_NO_RENEGOTIATION_FLAG: UInt64 = 1 << 30
private let SSL_OP_CIPHER_SERVER_PREFERENCE: UInt64 = 1 << 22
