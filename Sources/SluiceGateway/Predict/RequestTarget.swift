import SluiceCore
import SluiceHTTP

/// Whom an HTTP/2 request says it is for.
///
/// HTTP/1.1's parser has only one place to say it in and has checked that; HTTP/2 has two, and a
/// backend behind another protocol may look into the other one.
enum RequestTarget {
    /// Whether `head` names one host, in the form HTTP/1.1 would have to, and a scheme we serve
    /// (RFC 9113 §8.3.1).
    static func isSound(_ head: FieldBlock) -> Bool {
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
