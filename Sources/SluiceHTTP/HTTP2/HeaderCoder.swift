import SluiceCore

/// Both directions of one connection's header compression (HPACK, RFC 7541).
struct HeaderCoder: ~Copyable {
    var encoder = HPACKEncoder()
    var decoder = HPACKDecoder()
}
