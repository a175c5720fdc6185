import SluiceCore

/// Whom a request says it is for.
///
/// HTTP/1.1's parser has only one place to find the host in and has checked that; HTTP/2 has two,
/// and a backend behind another protocol may look into the other one.
enum RequestTarget {
    /// Whether `head` has a path and an authority that can be routed by, and over HTTP/2 names one
    /// host, in the form HTTP/1.1 would have to, and a scheme we serve (RFC 9113 §8.3.1).
    static func isSound(_ head: FieldBlock, isHTTP2: Bool) -> Bool {
        guard let path = unsafe head.first(.path), unsafe FieldValidation.isPath(path) else {
            return false
        }
        if let authority = unsafe head.first(.authority),
            unsafe !FieldValidation.isAuthority(authority)
        {
            return false
        }
        return !isHTTP2 || namesOneHost(head)
    }

    private static func namesOneHost(_ head: FieldBlock) -> Bool {
        guard let scheme = unsafe head.first(.scheme),
            unsafe ASCII.equal(scheme, ignoringCaseOf: "http")
                || ASCII.equal(scheme, ignoringCaseOf: "https")
        else { return false }
        let authority = unsafe head.first(.authority)
        if let authority = unsafe authority, unsafe !FieldValidation.isHost(authority) {
            return false
        }
        guard head.index(of: .host) != nil else { return true }
        return unsafe agrees(head, authority)
    }

    /// Whether `host` is there once, and says what `:authority` does.
    private static func agrees(_ head: FieldBlock, _ authority: UnsafeRawBufferPointer?) -> Bool {
        var count = 0
        for index in 0..<head.count where head[index].name == .host && !head[index].isRemoved {
            count += 1
            let host = unsafe head.value(of: head[index])
            guard unsafe FieldValidation.isHost(host) else { return false }
            guard let authority = unsafe authority else { continue }
            guard host.count == authority.count else { return false }
            for place in 0..<host.count
            where unsafe ASCII.lowercased(host[place]) != ASCII.lowercased(authority[place]) {
                return false
            }
        }
        return count == 1
    }
}
