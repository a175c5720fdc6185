import SluiceCompression
import SluiceCore
import SluiceTestKit
import Testing

@Suite("Decoding of compressed bodies")
struct InflaterTests {
    static let text = Array(
        "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,4],\"data\":[1,2,3,4]}]}".utf8
    )

    static func decode(
        _ body: [UInt8],
        _ coding: ContentCoding,
        limit: Int = 1 << 30
    ) -> Result<[UInt8], InflateFailure> {
        let pool = BufferPool()
        var made = PooledBytes()
        defer { made.release(to: pool) }
        do throws(InflateFailure) {
            var failure: InflateFailure?
            unsafe body.withUnsafeBytes { bytes in
                do throws(InflateFailure) {
                    try unsafe made.appendInflated(bytes, coding, limit: limit, pool: pool)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            return unsafe .success(Array(made.bytes))
        } catch {
            return .failure(error)
        }
    }

    @Test(
        "What zlib compressed comes back, at every length around the buffer's",
        arguments: Deflate.Wrapping.allCases
    )
    func roundTrip(wrapping: Deflate.Wrapping) {
        let coding = wrapping == .gzip ? ContentCoding.gzip : .deflate
        var random = RandomSource(seed: 16)
        for count in [0, 1, 100, 16_383, 16_384, 16_385, 32_768, 100_000] {
            for isNoise in [false, true] {
                let text = (0..<count).map {
                    isNoise ? UInt8(truncatingIfNeeded: random.next()) : UInt8($0 % 7)
                }
                #expect(
                    Self.decode(Deflate.compress(text, wrapping), coding) == .success(text),
                    "\(count)"
                )
            }
        }
    }

    @Test("A gzip body may have several members (RFC 1952, 2.2), and nothing else behind them")
    func members() {
        let one = Deflate.compress(Self.text, .gzip)
        #expect(Self.decode(one + one, .gzip) == .success(Self.text + Self.text))
        #expect(
            Self.decode(one + [0], .gzip) == .failure(.malformed(reason: "bytes follow its end"))
        )
        let zlib = Deflate.compress(Self.text, .zlib)
        #expect(
            Self.decode(zlib + zlib, .deflate)
                == .failure(.malformed(reason: "bytes follow its end"))
        )
    }

    @Test(
        "A body that is cut off, damaged or in another coding is refused",
        arguments: Deflate.Wrapping.allCases
    )
    func damaged(wrapping: Deflate.Wrapping) {
        let coding = wrapping == .gzip ? ContentCoding.gzip : .deflate
        let body = Deflate.compress(Self.text, wrapping)
        for count in 0..<body.count {
            #expect(
                Self.decode(Array(body.prefix(count)), coding) == .failure(.truncated),
                "\(count)"
            )
        }
        // The checksum (CRC-32, Adler-32) is looked at.
        if wrapping != .bare {
            var bad = body
            bad[body.count - (wrapping == .gzip ? 5 : 1)] ^= 1
            guard case .failure(.malformed) = Self.decode(bad, coding) else {
                Issue.record("a wrong checksum was taken")
                return
            }
        }
        guard case .failure(.malformed) = Self.decode(Self.text, coding) else {
            Issue.record("plain text was taken for \(coding)")
            return
        }
    }

    @Test("A limit holds to the byte")
    func limit() {
        let body = Deflate.compress(Self.text, .gzip)
        #expect(Self.decode(body, .gzip, limit: Self.text.count) == .success(Self.text))
        #expect(
            Self.decode(body, .gzip, limit: Self.text.count - 1)
                == .failure(.tooLarge(limit: Self.text.count - 1))
        )
    }

    @Test("A megabyte of zeros is taken, and a bomb is not, at little cost")
    func bomb() {
        let honest = [UInt8](repeating: 0, count: Inflater.freeByteCount)
        #expect(Self.decode(Deflate.compress(honest, .zlib), .deflate) == .success(honest))
        let bomb = Deflate.compress([UInt8](repeating: 0, count: 64 << 20), .gzip)
        #expect(Self.decode(bomb, .gzip) == .failure(.tooDense))
        #expect(bomb.count * Inflater.ratioMaximum < 64 << 20)
    }
}
