import SluiceAdmin
import Testing

@Suite("Names by which the admin API is read")
struct HostNameTests {
    @Test(
        "A name that can be bought isn't ours",
        arguments: [
            ("127.0.0.1:9901", true), ("[::1]:9901", true), ("localhost", true), ("", true),
            ("sluice:9901", true), ("sluice.ml.svc:9901", true), ("a.svc.cluster.local", true),
            ("Gateway.Example:9901", true), ("evil.test:9901", false), ("evil.test.", false),
            ("127.0.0.1.evil.test", false), ("localhost.evil.test", false), ("a b:x", false),
        ]
    )
    func names(authority: String, isOurs: Bool) {
        #expect(HostName.isOurs(authority, admin: "gateway.example") == isOurs)
    }
}
