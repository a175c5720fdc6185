import SluiceCore
import SluiceIO

/// A kernel that does what a test has written down, and notes what it was asked.
///
/// For what a network can't be made to do at will: a write that takes three bytes, two events in one batch.
final class ScriptedKernel: Kernel {
    /// The time; only the test moves it.
    var time = Instant(nanoseconds: 1_000_000_000)
    /// What the next wait reports.
    var events: [Readiness] = []
    /// How many bytes each write takes, nil for one that would block; beyond the list all is taken.
    var writes: [Int?] = []
    /// What reads find, in turn; beyond the list they would block.
    var reads: [TransferResult] = []
    /// What accepts find, in turn; beyond the list they would block.
    var accepts: [AcceptResult] = []
    /// What ``connectFailure(of:)`` says.
    var connectResult: Int32?

    /// The text of each write that took something.
    private(set) var written: [String] = []
    /// Descriptors that were closed, shut down or reset, in order.
    private(set) var deeds: [String] = []
    /// What is watched for what, by descriptor.
    private(set) var watched: [Int32: Interest] = [:]
    /// The token of each descriptor that was ever watched, the newest.
    private(set) var tokens: [Int32: UInt64] = [:]
    /// The deadline of the last wait.
    private(set) var lastDeadline: Instant?
    private let bell = Bell()

    private final class Bell: LoopWaker { func wake() {} }

    var waker: any LoopWaker { bell }

    /// Lets the next wait report the descriptor.
    func report(
        _ descriptor: Int32,
        readable: Bool = false,
        writable: Bool = false,
        broken: Bool = false
    ) {
        events.append(
            Readiness(
                token: tokens[descriptor] ?? 0,
                isReadable: readable,
                isWritable: writable,
                isBroken: broken
            )
        )
    }

    func now() -> Instant { time }
    func wallClock() -> Int64 { time.nanoseconds }

    func wait(into memory: UnsafeMutableBufferPointer<Readiness>, until deadline: Instant?) -> Int {
        lastDeadline = deadline
        for (index, event) in events.enumerated() { unsafe memory[index] = event }
        defer { events = [] }
        return events.count
    }

    func listen(
        on address: SocketAddress,
        backlog: Int,
        sharesPort: Bool
    ) throws(KernelFailure) -> Int32 { 3 }
    func localPort(of descriptor: Int32) -> UInt16 { 4_321 }
    func withdraw(_ listener: Int32) { deeds.append("withdraw \(listener)") }
    func accept(from listener: Int32) -> AcceptResult {
        accepts.isEmpty ? .wouldBlock : accepts.removeFirst()
    }
    func connect(to address: SocketAddress) throws(KernelFailure) -> Int32 { 5 }
    func connectFailure(of descriptor: Int32) -> Int32? { connectResult }

    func read(_ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer) -> TransferResult {
        guard !reads.isEmpty else { return .wouldBlock }
        let result = reads.removeFirst()
        if case .moved(let count) = result {
            for index in 0..<count { unsafe memory[index] = UInt8(ascii: "r") }
        }
        return result
    }
    func isQuiet(_ descriptor: Int32) -> Bool { reads.isEmpty }

    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> TransferResult {
        var count = bytes.count
        if !writes.isEmpty {
            guard let room = writes.removeFirst() else { return .wouldBlock }
            if room < 0 { return .failed(Int32(-room)) }
            count = min(count, room)
        }
        written.append(unsafe String(decoding: bytes[..<count], as: UTF8.self))
        return .moved(count)
    }
    func shutdownWrite(_ descriptor: Int32) { deeds.append("shutdown \(descriptor)") }
    func close(_ descriptor: Int32) { deeds.append("close \(descriptor)") }
    func reset(_ descriptor: Int32) { deeds.append("reset \(descriptor)") }

    func watch(_ descriptor: Int32, for interest: Interest, token: UInt64) {
        watched[descriptor] = interest
        tokens[descriptor] = token
    }
    func rewatch(_ descriptor: Int32, for interest: Interest, token: UInt64) {
        watched[descriptor] = interest
    }
    func unwatch(_ descriptor: Int32) { watched[descriptor] = nil }
}

/// A handler that has something to say, and notes what it hears.
final class NotingHandler: StreamHandler {
    var output: [UInt8] = []
    private(set) var heard: [String] = []
    /// How often it was told that its output waits for the peer.
    private(set) var blockedCount = 0
    /// What it does when bytes come.
    var onReceive: () -> Void = {}
    /// What it does when bytes have gone.
    var onWrote: () -> Void = {}

    init(saying text: String = "") { output = Array(text.utf8) }

    func streamOpened(_ stream: TCPStream) { heard.append("opened") }
    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        heard.append("received \(bytes.count)")
        onReceive()
    }
    func streamEnded() { heard.append("ended") }
    func streamFailed(_ failure: StreamFailure) { heard.append("failed: \(failure)") }
    var streamOutput: UnsafeRawBufferPointer {
        // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
        unsafe output.withUnsafeBytes { unsafe $0 }
    }
    func streamWrote(_ count: Int) {
        output.removeFirst(count)
        onWrote()
    }
    func streamBlocked() { blockedCount += 1 }
}
