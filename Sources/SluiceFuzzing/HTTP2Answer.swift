import SluiceCore
import SluiceHTTP
import SluiceTestKit

/// An answer as the gateway gives them from its cache.
///
/// It is of one of a few revisions, under an identifier and with a status of its own, with trailers.
/// Which, follows from its stream.
struct HTTP2Answer {
    private static let trailersName = HeadName(1)
    // Around the lengths at which the length itself takes one octet more (RFC 7541 §5.1).
    private static let idCounts = [36, 0, 1, 126, 127, 128, 254, 255, 300]

    private let revision: String
    private let name: HeadName
    private let id: [UInt8]
    private let status: [UInt8]
    private let body: [UInt8]

    /// The answer on this stream; `mayBeLarge` has some that don't fit a window.
    init(on stream: UInt32, mayBeLarge: Bool) {
        let number = Int(stream / 2)
        let kind = number % 3
        revision = ["v1", "v2", "a-longer-name"][kind]
        // The second goes by no name.
        name = [HeadName(10), .none, HeadName(12)][kind]
        let count = HTTP2Answer.idCounts[number % HTTP2Answer.idCounts.count]
        id = [UInt8](repeating: 0x61 + UInt8(number % 26), count: count)
        status = Array("sluice; hit; ttl=\(number)".utf8)
        let isLarge = mayBeLarge && number % 16 == 11
        body =
            isLarge
            ? HTTP2Script.large
            : [UInt8](repeating: UInt8(number % 256), count: 1 + number * 7 % 200)
    }

    // MARK: - Sending

    /// Sends it by the names of its blocks; false when the session wants it the long way.
    func sendRepeated(over session: inout HTTP2Session?, on stream: HTTP2Stream) -> Bool {
        guard !name.isNone else { return false }
        return unsafe id.withUnsafeBytes { id in
            unsafe status.withUnsafeBytes { status in
                unsafe body.withUnsafeBytes { body in
                    // The second piece is never empty, the first may be.
                    let cut = id.count % body.count
                    let answer = unsafe RepeatedAnswer(
                        head: name,
                        values: .init(id, status),
                        body: (
                            UnsafeRawBufferPointer(rebasing: body[..<cut]),
                            UnsafeRawBufferPointer(rebasing: body[cut...])
                        ),
                        trailers: HTTP2Answer.trailersName
                    )
                    return session?.sendRepeated(answer, on: stream) ?? false
                }
            }
        }
    }

    /// Sends it block by block.
    func send(over session: inout HTTP2Session?, on stream: HTTP2Stream, _ blocks: FieldBlockPool) {
        let head = blocks.take()
        head.append(status: 200)
        head.append(.contentType, "application/grpc")
        head.append(.sluiceRevision, text: revision)
        unsafe id.withUnsafeBytes { unsafe head.append(.requestID, $0, isVolatile: true) }
        unsafe status.withUnsafeBytes { unsafe head.append(.cacheStatus, $0, isVolatile: true) }
        head.repeatName = name
        session?.sendHead(head, endStream: false, on: stream)
        _ = unsafe body.withUnsafeBytes { unsafe session?.send($0, endStream: false, on: stream) }
        let trailers = blocks.take()
        trailers.append(.grpcStatus, "0")
        trailers.repeatName = HTTP2Answer.trailersName
        session?.sendTrailers(trailers, on: stream)
    }

    // MARK: - What a client makes of it

    private static let trailers = [(Array("grpc-status".utf8), Array("0".utf8))]

    private var head: [HPACKPeer.Pair] {
        [
            (":status", Array("200".utf8)), ("content-type", Array("application/grpc".utf8)),
            ("x-sluice-revision", Array(revision.utf8)), ("x-request-id", id),
            ("cache-status", status),
        ].map { (Array($0.0.utf8), $0.1) }
    }

    /// Whether nghttp2 finds in a server's `output` the answers that were meant, each on its stream, and
    /// nothing else.
    static func check(_ output: [UInt8], mayBeLarge: Bool) throws(Finding) {
        let peer = HPACKPeer()
        var bodies: [UInt32: [UInt8]] = [:]
        for frame in FrameReader.frames(in: output) where frame.type < 2 {
            let meant = HTTP2Answer(on: frame.stream, mayBeLarge: mayBeLarge)
            if frame.type == 0 {
                try expect(
                    bodies[frame.stream] != nil && frame.flags == 0,
                    "DATA out of turn: \(frame)"
                )
                bodies[frame.stream]? += frame.payload
                continue
            }
            let isEnd = frame.flags & 1 != 0
            let heard = unsafe frame.payload.withUnsafeBytes { unsafe peer.inflate($0) } ?? []
            try expect(
                areEqual(heard, isEnd ? trailers : meant.head),
                "stream \(frame.stream) was answered \(heard)"
            )
            let body = bodies.updateValue([], forKey: frame.stream)
            try expect(
                body == (isEnd ? meant.body : nil),
                "stream \(frame.stream) has \(body?.count ?? -1) bytes before \(frame)"
            )
        }
    }

    private static func areEqual(_ one: [HPACKPeer.Pair], _ other: [HPACKPeer.Pair]) -> Bool {
        one.count == other.count && zip(one, other).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 }
    }
}
