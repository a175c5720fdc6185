private import COpenSSL

// Who is at the other end.
extension TLSSession {
    /// The verified certificate that the peer presented, as `x-forwarded-client-cert` says it:
    /// `Hash=` and the SHA-256 of its DER form in hexadecimal, `;Subject=` and its name (RFC 2253)
    /// in quotes.
    ///
    /// Nil without mutual TLS. Control characters and bytes outside of ASCII are escaped in names,
    /// as are quotes: nothing in a certificate can end the header. Source: Envoy's documentation
    /// of the header, whose readers are many.
    package var peerIdentity: String? {
        guard let certificate = unsafe copenssl_peer_certificate(handle) else { return nil }
        defer { unsafe X509_free(certificate) }
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        guard unsafe X509_digest(certificate, EVP_sha256(), &digest, &length) == 1,
            let text = unsafe BIO_new(BIO_s_mem())
        else { return nil }
        defer { _ = unsafe BIO_free(text) }
        let name = unsafe X509_get_subject_name(certificate)
        guard unsafe X509_NAME_print_ex(text, name, 0, copenssl_name_flags()) >= 0 else {
            return nil
        }
        let waiting = unsafe Int(copenssl_pending(text))
        // A certificate's name has no bound of its own; a head has.
        guard waiting <= TLSSession.subjectMaximum else { return nil }
        var subject = [UInt8](repeating: 0, count: waiting)
        let count = unsafe waiting == 0 ? 0 : BIO_read(text, &subject, Int32(waiting))
        let hash = digest[..<Int(length)].map(TLSSession.hexadecimal).joined()
        return "Hash=\(hash);Subject=\"\(String(decoding: subject[..<Int(count)], as: UTF8.self))\""
    }

    private static let subjectMaximum = 4096

    private static func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
