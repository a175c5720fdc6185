// The functions OpenSSL calls back.
private import COpenSSL

/// Chooses the application protocol: our first that the client offers, h2 before http/1.1.
///
/// `SSL_CTX_set_alpn_select_cb(3)`: `offer` holds `length` bytes for the call; what `chosen` points to
/// must outlive it, and the literals do.
func chooseApplicationProtocol(
    _ ssl: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenLength: UnsafeMutablePointer<UInt8>?, _ offer: UnsafePointer<UInt8>?,
    _ length: UInt32, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let offer = unsafe offer, let chosen = unsafe chosen,
        let chosenLength = unsafe chosenLength
    else { return SSL_TLSEXT_ERR_NOACK }
    for wanted in ["h2", "http/1.1"] as [StaticString] {
        var index = 0
        while index < Int(length) {
            let size = unsafe Int(offer[index])
            guard index + 1 + size <= Int(length) else { break }
            if size == wanted.utf8CodeUnitCount {
                let name = unsafe UnsafeBufferPointer(start: offer + index + 1, count: size)
                let ours = unsafe UnsafeBufferPointer(start: wanted.utf8Start, count: size)
                if unsafe name.elementsEqual(ours) {
                    unsafe chosen.pointee = wanted.utf8Start
                    unsafe chosenLength.pointee = UInt8(size)
                    return SSL_TLSEXT_ERR_OK
                }
            }
            index += 1 + size
        }
    }
    // RFC 7301 §3.2: no overlap is a fatal alert.
    return SSL_TLSEXT_ERR_ALERT_FATAL
}

/// Keeps the newest session a server offers, so that the next connection can resume it.
///
/// `SSL_CTX_sess_set_new_cb(3)`: returning 1 takes over the reference to `session`.
func keepSession(_ ssl: OpaquePointer?, _ session: OpaquePointer?) -> Int32 {
    guard let ssl = unsafe ssl, let session = unsafe session,
        let context = unsafe SSL_get_SSL_CTX(ssl),
        let owner = unsafe SSL_CTX_get_ex_data(context, 0)
    else { return 0 }
    unsafe Unmanaged<TLSClientContext>.fromOpaque(owner).takeUnretainedValue().keep(session)
    return 1
}
