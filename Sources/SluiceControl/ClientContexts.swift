import Foundation
import SluiceConfiguration
import SluiceCore
import SluiceTLS

/// The TLS contexts towards backends, by what configuration says of them.
///
/// Files are read when a context is first wanted, and again when ``readAnew()`` was called; a context
/// is made anew only if a file then says something else, so that connections and TLS sessions of all
/// others stay as they are.
struct ClientContexts: Sendable {
    private struct Kept {
        let context: TLSClientContext
        let contents: UInt64
        /// Counts the contexts that were made for the same files.
        let version: Int
        var isStale = false
    }

    private var kept: [String: Kept] = [:]

    /// Looks into all files again when they are next wanted.
    mutating func readAnew() {
        for key in kept.keys { kept[key]?.isStale = true }
    }

    /// The context for a backend, and what tells it from the one for the same files before.
    mutating func context(
        for tls: Configuration.BackendTLS?,
        isGRPC: Bool
    ) throws(TLSFailure) -> (context: TLSClientContext, version: Int) {
        let key = "\(isGRPC) \(tls.map { "\($0)" } ?? "")"
        let old = kept[key]
        if let old, !old.isStale { return (old.context, old.version) }
        let contents = ClientContexts.contents(of: tls)
        if let old, old.contents == contents {
            kept[key]?.isStale = false
            return (old.context, old.version)
        }
        let made = Kept(
            context: try TLSClientContext(
                caFile: tls?.ca,
                certificateFile: tls?.certificate,
                keyFile: tls?.privateKey,
                skipsVerification: tls?.insecureSkipVerify ?? false,
                protocols: isGRPC ? [.http2] : [.http2, .http1]
            ),
            contents: contents,
            version: (old?.version ?? -1) + 1
        )
        kept[key] = made
        return (made.context, made.version)
    }

    /// Forgets contexts of no backend.
    mutating func keepOnly(_ configuration: Configuration) {
        let used = Set(
            configuration.models.flatMap(\.revisions).flatMap(\.allBackends).flatMap { backend in
                [true, false].map { "\($0) \(backend.tls.map { "\($0)" } ?? "")" }
            }
        )
        kept = kept.filter { used.contains($0.key) }
    }

    /// A number that changes with what the files say.
    ///
    /// Read before the context reads them: a change in between is taken for news once more.
    private static func contents(of tls: Configuration.BackendTLS?) -> UInt64 {
        var seed: UInt64 = 0
        for path in [tls?.ca, tls?.certificate, tls?.privateKey] {
            let bytes = path.flatMap { FileManager.default.contents(atPath: $0) } ?? Data()
            seed = unsafe bytes.withUnsafeBytes { unsafe XXH64.hash($0, seed: seed) }
        }
        return seed
    }
}
