private import CNghttp2
package import SluiceCore

/// The reused memory that all HTTP sessions of one loop draw from.
@safe
package final class HTTPArena {
    /// Raw memory for buffers.
    package let buffers: BufferPool
    /// Blocks for heads and trailers.
    package let blocks = FieldBlockPool()
    /// Records of open HTTP/2 streams.
    let streams = Slab(stride: MemoryLayout<HTTP2StreamRecord>.stride)
    // Scratch for one header block on its way into the HPACK encoder.
    private(set) var pairs: UnsafeMutableRawPointer
    private var pairCapacity = 128

    /// Memory for one loop.
    package init(buffers: BufferPool = BufferPool()) {
        self.buffers = buffers
        unsafe pairs = .allocate(
            byteCount: pairCapacity * MemoryLayout<nghttp2_nv>.stride,
            alignment: 16
        )
    }

    deinit { unsafe pairs.deallocate() }

    /// How many stream records are handed out; zero when all is quiet.
    package var openStreamCount: Int { streams.liveCount }

    func reservePairs(_ count: Int) {
        guard count > pairCapacity else { return }
        unsafe pairs.deallocate()
        pairCapacity = count
        unsafe pairs = .allocate(
            byteCount: count * MemoryLayout<nghttp2_nv>.stride,
            alignment: 16
        )
    }
}
