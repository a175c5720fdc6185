import SluiceHTTP
import SluiceIngress
import Testing

@Suite("What web pages of other origins may read")
struct CrossOriginPolicyTests {
    private static let page = "https://app.example"

    /// What an answer says to a page, under names of CORS.
    private static func said(to origin: String?, _ answer: [(String, String)] = []) -> [String] {
        let policy = CrossOriginPolicy(origins: [page], headers: [], maxAgeSeconds: 60)
        let arena = HTTPArena()
        let (request, head) = (arena.blocks.take(), arena.blocks.take())
        defer {
            arena.blocks.give(request)
            arena.blocks.give(head)
        }
        if let origin { request.append(named: "origin", text: origin) }
        for (name, value) in answer { head.append(named: name, text: value) }
        policy.decorate(head, for: policy.verdict(of: request))
        return (0..<head.count).filter { !head[$0].isRemoved }.map { index in
            let (name, value) = unsafe (head.name(of: head[index]), head.value(of: head[index]))
            return unsafe String(decoding: name, as: UTF8.self) + ": "
                + String(decoding: value, as: UTF8.self)
        }
    }

    @Test("Fields of answers that are ours, and those that our API gives a meaning, by name")
    func exposed() {
        let backends = [("access-control-expose-headers", "x-secret"), ("x-model", "a")]
        let names =
            "x-request-id, x-sluice-revision, x-sluice-backend, cache-status, retry-after, inference-header-content-length"
        #expect(
            Self.said(to: Self.page, backends) == [
                "x-model: a", "vary: origin", "access-control-allow-origin: \(Self.page)",
                "access-control-expose-headers: \(names)",
            ]
        )
    }

    @Test("A page of another origin is told nothing", arguments: ["https://evil.example", nil])
    func foreign(origin: String?) {
        #expect(Self.said(to: origin) == ["vary: origin"])
    }
}
