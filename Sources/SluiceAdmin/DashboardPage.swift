// The page's files lie in `Dashboard/` as what they are and are compiled into the binary, so that a
// gateway is one file and its page is always of its own version.

/// The dashboard: one document, its style and its script, from the binary's own memory.
package enum DashboardPage {
    /// One file of the page.
    package struct File: Sendable {
        /// Where the browser finds it.
        package let path: String
        /// Its media type.
        package let type: StaticString
        /// Its content.
        package let body: [UInt8]
        /// Names the content: equal tags, equal bytes (RFC 9110 §8.8.3).
        package let entityTag: String

        init(_ path: String, _ type: StaticString, _ body: [UInt8]) {
            self.path = path
            self.type = type
            self.body = body
            // FNV-1a: nobody attacks a file with itself, only versions have to differ.
            let hash = body.reduce(0xCBF2_9CE4_8422_2325) { (hash: UInt64, byte) in
                (hash ^ UInt64(byte)) &* 0x100_0000_01B3
            }
            entityTag = "\"\(String(hash, radix: 16))\""
        }

        /// Whether `field`, an `If-None-Match`, names this content (RFC 9110 §13.1.2).
        package func isNamed(by field: String) -> Bool {
            field.split(separator: ",").contains { part in
                var tag = part.drop { $0 == " " }
                if tag.hasPrefix("W/") { tag = tag.dropFirst(2) }
                while tag.last == " " { tag = tag.dropLast() }
                return tag == "*" || tag == entityTag
            }
        }
    }

    /// What each answer carries besides its type: nothing from outside is loaded or run, nobody may
    /// frame the page, and the browser asks again each time whether it has changed.
    ///
    /// Source: W3C, "Content Security Policy Level 3".
    package static let fields: [(name: String, value: String)] = [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        ("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"), ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"), ("cache-control", "no-cache"),
    ]

    private static let script: StaticString = "text/javascript; charset=utf-8"

    /// All files; the document comes first.
    package static let files: [File] = [
        File("/", "text/html; charset=utf-8", PackageResources.page_html),
        File("/dashboard/style.css", "text/css; charset=utf-8", PackageResources.style_css),
        File("/dashboard/icon.svg", "image/svg+xml", PackageResources.icon_svg),
        File("/dashboard/address.js", script, PackageResources.address_js),
        File("/dashboard/api.js", script, PackageResources.api_js),
        File("/dashboard/backends.js", script, PackageResources.backends_js),
        File("/dashboard/confirm.js", script, PackageResources.confirm_js),
        File("/dashboard/dom.js", script, PackageResources.dom_js),
        File("/dashboard/events.js", script, PackageResources.events_js),
        File("/dashboard/format.js", script, PackageResources.format_js),
        File("/dashboard/list.js", script, PackageResources.list_js),
        File("/dashboard/main.js", script, PackageResources.main_js),
        File("/dashboard/model.js", script, PackageResources.model_js),
        File("/dashboard/plot.js", script, PackageResources.plot_js),
        File("/dashboard/question.js", script, PackageResources.question_js),
        File("/dashboard/rollout.js", script, PackageResources.rollout_js),
        File("/dashboard/split.js", script, PackageResources.split_js),
        File("/dashboard/state.js", script, PackageResources.state_js),
        File("/dashboard/stream.js", script, PackageResources.stream_js),
        File("/dashboard/traffic.js", script, PackageResources.traffic_js),
        File("/dashboard/weights.js", script, PackageResources.weights_js),
    ]
}
