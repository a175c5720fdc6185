import SluiceCore
import SluiceHTTP

/// Nobody, who passes for a caller: what is sent on in that caller's name says where it came from.
@safe
final class DetachedHost: ExchangeHost {
    private let clientText: KeptBytes
    private let identityText: KeptBytes
    private let cameSecurely: Bool

    init(arena: HTTPArena, for caller: Exchange) {
        clientText = unsafe KeptBytes(String(decoding: caller.clientText, as: UTF8.self))
        identityText = unsafe KeptBytes(
            String(decoding: caller.clientIdentity ?? .init(start: nil, count: 0), as: UTF8.self)
        )
        cameSecurely = caller.isSecure
        super.init(arena: arena)
    }

    /// In nobody's name but the gateway's own.
    override init(arena: HTTPArena) {
        clientText = KeptBytes("127.0.0.1")
        identityText = KeptBytes("")
        cameSecurely = false
        super.init(arena: arena)
    }

    override var clientBytes: UnsafeRawBufferPointer { unsafe clientText.bytes }
    override var clientIdentity: UnsafeRawBufferPointer? {
        unsafe identityText.bytes.isEmpty ? nil : identityText.bytes
    }
    override var isSecure: Bool { cameSecurely }
}
