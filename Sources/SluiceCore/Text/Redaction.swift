/// Hides what a text that people read must not tell: who we are to a server (RFC 3986 §3.2.1).
///
/// Configurations have passwords in URLs, and diagnostics quote them. A diagnostic quotes a value
/// by ``value(_:)``; the log, the events and the command line send all they say through ``text(_:)``, for what
/// other libraries quote.
package enum Redaction {
    /// What stands where something was hidden.
    package static let mark = "…"

    /// A value as a diagnostic may quote it.
    ///
    /// Everything before the last `@` of a URL is hidden, whatever characters the password has, and so is
    /// a query. A URL whose port isn't a number may have its password there.
    package static func value(_ text: String) -> String {
        guard let separator = text.firstRange(of: "://") else {
            // A URL without a scheme: `:password@host`. A name with an @ has no colon before it.
            guard let at = text.lastIndex(of: "@"), text[..<at].contains(":") else { return text }
            return mark + String(text[at...])
        }
        return String(text[..<separator.upperBound]) + authority(text[separator.upperBound...])
    }

    /// A text with the user information and query of each URL in it hidden; a URL ends at a space or quote.
    package static func text(_ text: String) -> String {
        guard text.contains("://") else { return text }
        var result = ""
        var rest = Substring(text)
        while let separator = rest.firstRange(of: "://") {
            result += rest[..<separator.upperBound]
            rest = rest[separator.upperBound...]
            let url = rest.prefix { !$0.isWhitespace && !"'\"`<>".contains($0) }
            result += authority(url)
            rest = rest[url.endIndex...]
        }
        return result + rest
    }

    /// What follows `://`.
    private static func authority(_ text: Substring) -> String {
        var rest = text
        var result = ""
        if let at = rest.lastIndex(of: "@") {
            result = mark
            rest = rest[at...]
        } else if rest.first == ":" {
            return mark
        }
        // The database of a socket is no secret; what other queries hold isn't known.
        if let query = rest.firstIndex(of: "?"), !rest[query...].hasPrefix("?db=") {
            rest = rest[..<query]
            return result + rest + "?" + mark
        }
        return result + rest
    }
}
