private import COpenSSL
private import Synchronization

/// How to speak TLS to backends: whom to trust, what to present, which protocols to offer.
@safe
package final class TLSClientContext: @unchecked Sendable {
    // Unchecked: as for the server; the kept session is under a lock of its own.
    @safe
    private struct Kept: @unchecked Sendable {
        // Unchecked: an SSL_SESSION is reference-counted by OpenSSL under its own lock.
        var session: OpaquePointer?
    }

    private let context: OpaquePointer
    private let skipsVerification: Bool
    private let protocols: [UInt8]
    private let kept = Mutex(unsafe Kept(session: nil))

    /// Trusts the system's CAs or those in `caFile`.
    ///
    /// `skipsVerification` accepts any certificate: for tests, never for production.
    package init(
        caFile: String?, certificateFile: String?, keyFile: String?, skipsVerification: Bool,
        protocols: [TLSApplicationProtocol]
    ) throws(TLSFailure) {
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
            throw .queued("TLS can't be set up")
        }
        unsafe self.context = context
        self.skipsVerification = skipsVerification
        self.protocols = TLSApplicationProtocol.wire(protocols)
        unsafe TLSRules.apply(to: context)
        if let caFile {
            guard unsafe SSL_CTX_load_verify_locations(context, caFile, nil) == 1 else {
                throw .queued("CA \(caFile)")
            }
        } else {
            _ = unsafe SSL_CTX_set_default_verify_paths(context)
        }
        if let certificateFile, let keyFile {
            guard unsafe SSL_CTX_use_certificate_chain_file(context, certificateFile) == 1 else {
                throw .queued("client certificate \(certificateFile)")
            }
            guard unsafe SSL_CTX_use_PrivateKey_file(context, keyFile, SSL_FILETYPE_PEM) == 1,
                unsafe SSL_CTX_check_private_key(context) == 1
            else { throw .queued("client key \(keyFile)") }
        }
        unsafe SSL_CTX_set_verify(
            context, skipsVerification ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        unsafe copenssl_cache_client_sessions(context)
        // Unretained: the context is freed in deinit, before this object is.
        _ = unsafe SSL_CTX_set_ex_data(context, 0, Unmanaged.passUnretained(self).toOpaque())
        unsafe SSL_CTX_sess_set_new_cb(context, keepSession)
    }

    deinit {
        kept.withLock { unsafe $0.session.map { unsafe SSL_SESSION_free($0) } }
        unsafe SSL_CTX_free(context)
    }

    /// A session for a connection to a host of this name (or numeric address).
    package func makeSession(serverName: String) -> TLSSession {
        guard let ssl = unsafe SSL_new(context) else {
            preconditionFailure("out of memory for a TLS session")
        }
        unsafe SSL_set_connect_state(ssl)
        let isNumeric = serverName.contains(":") || serverName.allSatisfy {
            $0.isNumber || $0 == "."
        }
        if isNumeric {
            _ = unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), serverName)
        } else {
            // SNI takes names only (RFC 6066 §3).
            _ = unsafe copenssl_set_server_name(ssl, serverName)
            _ = unsafe SSL_set1_host(ssl, serverName)
        }
        _ = unsafe SSL_set_alpn_protos(ssl, protocols, UInt32(protocols.count))
        kept.withLock { kept in
            if let session = unsafe kept.session { _ = unsafe SSL_set_session(ssl, session) }
        }
        return unsafe TLSSession(ssl)
    }

    /// Takes over a reference to the newest session.
    func keep(_ session: OpaquePointer) {
        let replacement = unsafe Kept(session: session)
        kept.withLock { kept in
            unsafe kept.session.map { unsafe SSL_SESSION_free($0) }
            kept = replacement
        }
    }
}
