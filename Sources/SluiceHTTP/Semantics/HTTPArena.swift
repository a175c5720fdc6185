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
    /// Memory for one loop.
    package init(buffers: BufferPool = BufferPool()) {
        self.buffers = buffers
    }

    deinit {
        blocks.deallocate()
        streams.deallocate()
    }

    /// How many stream records are handed out; zero when all is quiet.
    package var openStreamCount: Int { streams.liveCount }
}
