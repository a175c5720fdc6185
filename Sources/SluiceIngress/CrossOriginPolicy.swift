import SluiceCore
package import SluiceHTTP

/// Which origins' web pages may read a listener's answers (CORS; the Fetch standard, "CORS protocol").
///
/// Only answers to REST carry its fields: a browser can't speak gRPC.
package final class CrossOriginPolicy: Sendable {
    /// What a request's `origin` was found to be: ``none``, ``foreign``, or an allowed origin's number.
    package struct Verdict: Equatable, BitwiseCopyable, Sendable {
        /// No policy applies, and the answer says nothing of it.
        package static let none = Verdict(code: 0)
        /// A policy applies, and the request names no origin, or one that isn't allowed.
        package static let foreign = Verdict(code: 1)
        fileprivate let code: UInt8

        /// Whether no policy applies; asked of every answer, where `==` would be a call through a table.
        package var isNone: Bool { code == 0 }
    }

    /// As many origins as one policy may list.
    package static let originMaximum = 200

    /// Fields of an answer that scripts may read besides those that they always may.
    private static let exposed =
        (FieldName.ofOurAnswers + [.cacheStatus, .retryAfter, .inferenceHeaderContentLength])
        .map { "\($0.text)" }.joined(separator: ", ")
    /// Fields of a request that our own API takes; they are allowed without being listed.
    private static let known = [
        "content-type", "accept", "cache-control", "inference-header-content-length",
        "x-request-id", "traceparent", "tracestate",
    ]

    private let origins: [String]
    private let allowsAny: Bool
    private let headers: String
    private let maxAgeSeconds: Int

    /// A policy: origins as browsers write them, or `*`; further request fields, in lower case; and
    /// how long a browser may remember the answer to a preflight.
    package init(origins: [String], headers: [String], maxAgeSeconds: Int) {
        precondition(origins.count <= CrossOriginPolicy.originMaximum, "too many origins")
        self.origins = origins
        allowsAny = origins.contains("*")
        let further = headers.filter { !CrossOriginPolicy.known.contains($0) }
        self.headers = (CrossOriginPolicy.known + further).joined(separator: ", ")
        self.maxAgeSeconds = maxAgeSeconds
    }

    /// Whether a request's origin is allowed.
    package func verdict(of request: FieldBlock) -> Verdict {
        guard let origin = request.text(named: "origin") else { return .foreign }
        if allowsAny { return Verdict(code: 2) }
        guard let index = origins.firstIndex(of: origin) else { return .foreign }
        return Verdict(code: UInt8(index + 2))
    }

    /// Whether a request only asks if another one would be allowed.
    package func isPreflight(_ request: FieldBlock) -> Bool {
        guard let method = unsafe request.first(.method), unsafe ASCII.equal(method, "OPTIONS")
        else { return false }
        return request.text(named: "access-control-request-method") != nil
    }

    /// Adds what an answer says to the browser, in place of what a backend says.
    package func decorate(_ answer: FieldBlock, for verdict: Verdict) {
        for index in 0..<answer.count where answer[index].name == .other {
            let name = unsafe answer.name(of: answer[index])
            if unsafe ASCII.hasPrefix(name, "access-control-") { answer.remove(at: index) }
        }
        appendOrigin(to: answer, for: verdict)
        if verdict != .foreign {
            answer.append(
                named: "access-control-expose-headers",
                text: CrossOriginPolicy.exposed
            )
        }
    }

    /// Adds what the answer to a preflight of an allowed origin says.
    package func appendPreflight(to answer: FieldBlock, for verdict: Verdict) {
        appendOrigin(to: answer, for: verdict)
        answer.append(named: "access-control-allow-methods", text: "GET, HEAD, POST")
        answer.append(named: "access-control-allow-headers", text: headers)
        answer.append(named: "access-control-max-age", text: String(maxAgeSeconds))
    }

    /// With a list of origins each answer varies by origin, also one that allows nothing: a cache
    /// would else give it to a page that may read it.
    private func appendOrigin(to answer: FieldBlock, for verdict: Verdict) {
        if !allowsAny { answer.append(named: "vary", text: "origin") }
        guard verdict != .none, verdict != .foreign else { return }
        answer.append(
            named: "access-control-allow-origin",
            text: allowsAny ? "*" : origins[Int(verdict.code) - 2]
        )
    }
}
