import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceTLS

/// A connection until we know which protocol it speaks.
///
/// With TLS the client says so in ALPN. In the clear its first bytes tell: HTTP/2 by prior
/// knowledge begins with a fixed preface (RFC 9113 §3.4), and no HTTP/1.1 method is `PRI`.
final class ConnectionStart: StreamHandler, TimerTarget {
    let stream: TCPStream
    let number: Int
    private unowned let listener: IngressListener
    private var held: [UInt8] = []
    private var timer = TimerID.none
    private var isOpen = false

    private static let preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    init(stream: TCPStream, listener: IngressListener, number: Int) {
        self.stream = stream
        self.number = number
        self.listener = listener
        timer = stream.loop.setTimer(after: listener.limits.headerTimeout, target: self, tag: 0)
    }

    func streamOpened(_ stream: TCPStream) { isOpen = true }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        if let choice = stream.tls?.negotiatedProtocol {
            unsafe begin(isHTTP2: choice == .http2, bytes)
            return
        }
        let preface = unsafe UnsafeRawBufferPointer(
            start: ConnectionStart.preface.utf8Start,
            count: ConnectionStart.preface.utf8CodeUnitCount
        )
        if held.isEmpty {
            let count = min(bytes.count, preface.count)
            guard unsafe preface.prefix(count).elementsEqual(bytes.prefix(count)) else {
                unsafe begin(isHTTP2: false, bytes)
                return
            }
            if count == preface.count {
                unsafe begin(isHTTP2: true, bytes)
                return
            }
            unsafe held.append(contentsOf: bytes)
            return
        }
        unsafe held.append(contentsOf: bytes)
        let count = min(held.count, preface.count)
        let matches = unsafe preface.prefix(count).elementsEqual(held.prefix(count))
        if !matches || count == preface.count {
            let all = held
            unsafe all.withUnsafeBytes { unsafe begin(isHTTP2: matches, $0) }
        }
    }

    private func begin(isHTTP2: Bool, _ bytes: UnsafeRawBufferPointer) {
        // A first line that names no HTTP version comes from something that speaks another
        // protocol; it wouldn't understand a reply either.
        if !isHTTP2, stream.tls == nil, unsafe !ConnectionStart.mayBeHTTP(bytes) {
            abandon()
            return
        }
        stream.loop.cancelTimer(&timer)
        unsafe listener.begin(self, isHTTP2: isHTTP2, first: bytes)
    }

    private static func mayBeHTTP(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let end = unsafe bytes.firstIndex(of: ASCII.lineFeed) else { return true }
        var index = 0
        while index + 6 <= end {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[index...])
            if unsafe ASCII.hasPrefix(rest, " HTTP/") { return true }
            index += 1
        }
        // An empty line before the request line is tolerated, so it says nothing yet.
        return end <= 1
    }

    func streamEnded() { abandon() }

    func streamFailed(_ failure: StreamFailure) {
        stream.loop.cancelTimer(&timer)
        listener.startFailed(self, inHandshake: !isOpen && stream.tls != nil)
    }

    var streamOutput: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    func streamWrote(_ count: Int) {}

    func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        listener.count(.slowHead)
        abandon()
    }

    func abandon() {
        stream.loop.cancelTimer(&timer)
        stream.close()
        listener.startFailed(self, inHandshake: !isOpen && stream.tls != nil)
    }
}
