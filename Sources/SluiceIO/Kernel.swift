package import SluiceCore

/// A system call that failed for a reason worth telling.
package struct KernelFailure: Error, Sendable, CustomStringConvertible {
    /// What was tried, with its object.
    package let call: String
    /// The `errno`, or 0.
    package let code: Int32
    /// What the system said.
    package let text: String

    /// A failure of `call`.
    package init(call: String, code: Int32, text: String) {
        self.call = call
        self.code = code
        self.text = text
    }

    package var description: String { "\(call): \(text)" }
}

/// What came of a read or write on a non-blocking socket.
package enum TransferResult: Sendable {
    /// That many bytes moved; at least one.
    case moved(Int)
    /// Nothing can move now.
    case wouldBlock
    /// The peer has closed its side (reads only).
    case ended
    /// The connection is broken, with this `errno`.
    case failed(Int32)
}

/// What came of an accept.
package enum AcceptResult: Sendable {
    case accepted(descriptor: Int32, peer: SocketAddress)
    case wouldBlock
    /// The process or system has no descriptor left.
    case exhausted
    /// That connection died before it was taken; try the next.
    case aborted
}

/// A descriptor that can be read or written.
package struct Readiness: BitwiseCopyable, Sendable {
    package var token: UInt64
    package var isReadable: Bool
    package var isWritable: Bool
    package var isBroken: Bool

    /// A report about the descriptor watched under `token`.
    package init(token: UInt64, isReadable: Bool, isWritable: Bool, isBroken: Bool) {
        self.token = token
        self.isReadable = isReadable
        self.isWritable = isWritable
        self.isBroken = isBroken
    }
}

/// Which readiness a loop wants to hear of.
package struct Interest: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let read = Interest(rawValue: 1)
    package static let write = Interest(rawValue: 2)
}

/// Interrupts a loop's wait, from any thread.
package protocol LoopWaker: AnyObject, Sendable {
    /// Makes the loop's current or next wait return at once.
    func wake()
}

/// The seam between the loop and the outside: every system call goes through here.
///
/// One instance belongs to one loop. Tests put a simulated one in its place, with virtual time and
/// a network that misbehaves; every line above is the code that ships.
package protocol Kernel: AnyObject {
    /// The monotonic time.
    func now() -> Instant
    /// Nanoseconds since 1970, for logs.
    func wallClock() -> Int64
    /// Waits for readiness or `deadline` (nil: for ever), and reports how many events there are.
    func wait(into events: UnsafeMutableBufferPointer<Readiness>, until deadline: Instant?) -> Int
    /// What other threads use to interrupt ``wait(into:until:)``.
    var waker: any LoopWaker { get }

    /// Opens a listening socket; several loops share one port, or one queue of a socket file, with `sharesPort`.
    func listen(
        on address: SocketAddress,
        backlog: Int,
        sharesPort: Bool
    ) throws(KernelFailure)
        -> Int32
    /// The port a listening socket was given.
    func localPort(of descriptor: Int32) -> UInt16
    /// Lets nothing new reach a listening socket where that can be: removes its file, if it is one.
    func withdraw(_ listener: Int32)
    /// Takes one waiting connection.
    func accept(from listener: Int32) -> AcceptResult
    /// Begins to connect; writability tells when ``connectFailure(of:)`` has the result.
    func connect(to address: SocketAddress) throws(KernelFailure) -> Int32
    /// Nil when the connection stands, else its `errno`.
    func connectFailure(of descriptor: Int32) -> Int32?

    /// Reads what is there.
    func read(_ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer) -> TransferResult
    /// Whether nothing is there to be read, not even the peer's end; what is there stays.
    func isQuiet(_ descriptor: Int32) -> Bool
    /// Writes what fits.
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> TransferResult
    /// Tells the peer that nothing more will be written.
    func shutdownWrite(_ descriptor: Int32)
    /// Closes for good.
    func close(_ descriptor: Int32)
    /// Closes a connection by a TCP reset: the peer learns that it hasn't heard all.
    func reset(_ descriptor: Int32)

    /// Starts watching a descriptor (level-triggered).
    func watch(_ descriptor: Int32, for interest: Interest, token: UInt64)
    /// Watches for something else from now on.
    func rewatch(_ descriptor: Int32, for interest: Interest, token: UInt64)
    /// Stops watching; must precede ``close(_:)``.
    func unwatch(_ descriptor: Int32)
}
