/// How much an operational log line matters.
package enum LogLevel: UInt8, Comparable, CaseIterable, Sendable {
    /// For whoever looks for a fault.
    case debug
    /// Something happened that an operator may want to know.
    case info
    /// Something is wrong, and the gateway copes.
    case warning
    /// Something is wrong, and somebody is served badly.
    case error

    /// The level's five letters in a log line, padded with spaces.
    package var name: StaticString {
        switch self {
        case .debug: "debug"
        case .info: "info "
        case .warning: "warn "
        case .error: "error"
        }
    }

    package static func < (left: LogLevel, right: LogLevel) -> Bool {
        left.rawValue < right.rawValue
    }
}
