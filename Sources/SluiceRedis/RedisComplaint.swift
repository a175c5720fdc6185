import SluiceCore

/// What kind of trouble there is with Redis; the label `reason` of `sluice_redis_errors_total`.
package enum RedisReason: String, CaseIterable, Hashable, Sendable {
    /// Its name has no address, or its password file can't be read.
    case name
    /// No Sentinel says where the master is: none answers, or none that does is one.
    case sentinel
    /// The Sentinels don't know a master of that name.
    case master
    /// What is said to be the master says that it is something else.
    case role
    /// No connection could be made, or TLS failed.
    case connect
    /// A connection ended.
    case disconnected
    /// Nothing was answered in time.
    case silent
    /// What came isn't RESP, or answers something else.
    case malformed
    /// `WRONGPASS`, `NOAUTH` and what older servers say of a wrong password.
    case password
    /// The database can't be selected.
    case database
    /// `NOPERM`: the user may not run the command, or not on the key.
    case noperm
    /// `LOADING`, and `BUSY` with a script.
    case loading
    /// `READONLY`: what we write to is a replica.
    case readonly
    /// `OOM`: the memory is full and nothing may be evicted.
    case oom
    /// `MISCONF`: it can't save, and so it doesn't write.
    case misconf
    /// `MASTERDOWN`, `NOREPLICAS`: the link between master and replicas is down.
    case replication
    /// `MOVED`, `ASK`, `CLUSTERDOWN`, `CROSSSLOT`: Redis Cluster, which isn't spoken.
    case cluster
    /// Any other error.
    case other
}

/// What is wrong with Redis: the kind, and Redis's own words, bounded and without secrets.
package struct RedisComplaint: Hashable, Sendable {
    /// Bytes of Redis's words that are kept.
    private static let wordsMaximum = 200

    /// The kind.
    package let reason: RedisReason
    /// One line for people.
    package let words: String

    /// Trouble that we found ourselves.
    package init(_ reason: RedisReason, _ words: String) {
        self.reason = reason
        self.words = words
    }

    /// What Redis said, which begins with a code (redis.io, "Redis serialization protocol", "Simple errors").
    ///
    /// A server that doesn't know a command repeats its arguments, and those of AUTH are secrets.
    package init(error text: String, secret: String?) {
        reason = RedisComplaint.reason(of: text)
        var line = String(text.prefix(1000))
        if let secret, !secret.isEmpty { line = line.replacing(secret, with: Redaction.mark) }
        if let arguments = line.firstRange(of: ", with args beginning with") {
            line = String(line[..<arguments.lowerBound])
        }
        line = String(
            line.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) }
        )
        while line.utf8.count > RedisComplaint.wordsMaximum { line.removeLast() }
        if reason == .cluster {
            line += "; Redis Cluster isn't spoken: name a Redis that isn't part of one"
        }
        words = Redaction.text(line)
    }

    /// Why a conversation ended.
    package init(_ failure: RedisFailure, secret: String?) {
        switch failure {
        case .refused(let text): self.init(error: text, secret: secret)
        case .notMaster: self.init(.role, failure.description)
        case .disconnected: self.init(.disconnected, failure.description)
        case .stalled: self.init(.silent, failure.description)
        case .malformed, .tooLarge, .unexpectedReply: self.init(.malformed, failure.description)
        }
    }

    private static func reason(of text: String) -> RedisReason {
        switch text.prefix(while: { $0 != " " }) {
        case "WRONGPASS", "NOAUTH": .password
        case "NOPERM": .noperm
        case "LOADING", "BUSY": .loading
        case "READONLY": .readonly
        case "OOM": .oom
        case "MISCONF": .misconf
        case "MASTERDOWN", "NOREPLICAS": .replication
        case "MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT", "TRYAGAIN": .cluster
        case "ERR" where text.contains("DB index"): .database
        case "ERR" where text.contains("SELECT is not allowed in cluster mode"): .cluster
        case "ERR" where text.contains("invalid password") || text.contains("AUTH"): .password
        default: .other
        }
    }
}
