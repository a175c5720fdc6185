import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceInference

/// An answer in a caller's form.
struct RenderedAnswer {
    var contentType: StaticString
    var body: [UInt8]
    /// `inference-header-content-length`, or -1.
    var headerLength = -1
}

/// What the cache needs of the tensor codec, for the request in a flow.
enum PredictCodec {
    /// The key of a gathered request; nil when it can't be cached.
    static func key(of flow: FlowPointer) -> CacheKey? {
        var state: [UInt64] = unsafe [1, 2, 3, UInt64(flow.pointee.wire.rawValue)]
        for unsafe byte in unsafe flow.pointee.held.bytes {
            for i in 0..<4 { state[i] = (state[i] ^ UInt64(byte)) &* (0x100_0000_01B3 + UInt64(i) * 2) }
        }
        return unsafe state.withUnsafeBytes { unsafe CacheKey(digest: $0) }
    }
    static func keep(_ body: UnsafeRawBufferPointer, of flow: FlowPointer) -> [UInt8]? { unsafe [UInt8](body) }
    static func render(_ kept: UnsafeRawBufferPointer, for flow: FlowPointer) -> RenderedAnswer? {
        unsafe RenderedAnswer(contentType: flow.pointee.wire == .grpc ? "application/grpc" : "application/json", body: [UInt8](kept))
    }
}
