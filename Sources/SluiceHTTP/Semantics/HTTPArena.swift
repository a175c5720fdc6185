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
    /// HTTP/1.1 heads that came before on any connection, none of them with credentials.
    let heads = HeadMemory<HTTP1Head>(slotMaximum: 8)
    /// HTTP/1.1 heads that went out before on any connection, none of them with credentials.
    let requestTexts = EncodedHeads()
    let responseTexts = EncodedHeads()

    /// Memory for one loop.
    package init(buffers: BufferPool = BufferPool()) {
        self.buffers = buffers
    }

    deinit {
        blocks.deallocate()
        heads.deallocate()
        requestTexts.deallocate()
        responseTexts.deallocate()
        streams.deallocate()
    }

    /// How many HTTP/1.1 heads are remembered, to be known when they come again.
    package var rememberedHeadCount: Int { heads.count }

    /// How many stream records are handed out; zero when all is quiet.
    package var openStreamCount: Int { streams.liveCount }
}
