import Foundation
import SluiceConfiguration

/// Who may change state: whoever knows the token, or everybody who reaches the port if there is
/// none.
package struct AdminAccess: Sendable {
    private let token: [UInt8]?

    /// Access by the token that the configuration names.
    init(_ admin: Configuration.Admin) throws(CompileFailure) {
        guard let file = admin.tokenFile else {
            self.init(token: nil)
            return
        }
        let text = FileManager.default.contents(atPath: file)
        self.init(token: String(decoding: text ?? Data(), as: UTF8.self))
        if token?.isEmpty != false {
            throw CompileFailure(
                sentence: "admin.tokenFile \(file): its first line must be the token"
            )
        }
    }

    /// Access by the first line of `text`; nil lets everybody in.
    package init(token text: String?) {
        token = text.map { text in
            Array(text.prefix { !$0.isNewline }.drop { $0 == " " }.utf8)
        }
    }

    /// Whether there is a token to be known.
    package var asksForToken: Bool { token != nil }

    /// Whether an `authorization` field of `Bearer TOKEN` (RFC 6750 §2.1) opens the door.
    package func allows(_ authorization: String?) -> Bool {
        guard let token else { return true }
        guard let authorization, !token.isEmpty,
            authorization.prefix(7).lowercased() == "bearer "
        else { return false }
        let given = Array(authorization.dropFirst(7).utf8)
        // Every byte is compared, so that the time tells nothing of where they differ.
        var difference = given.count ^ token.count
        for (index, byte) in token.enumerated() {
            difference |= Int(byte ^ (index < given.count ? given[index] : 0))
        }
        return difference == 0
    }
}
