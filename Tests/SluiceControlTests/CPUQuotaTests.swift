import SluiceIO
import Testing

@Suite("The processor quota of a cgroup")
struct CPUQuotaTests {
    @Test(
        "A quota is rounded up to whole cores; `max` bounds nothing",
        arguments: [
            ("max 100000\n", nil), ("100000 100000\n", 1), ("150000 100000\n", 2),
            ("5000 100000\n", 1), ("800000 200000\n", 4), ("200000", 2), ("", nil),
            ("x 100000", nil), ("100000 0", nil), ("-1 100000", nil),
        ] as [(String, Int?)]
    )
    func line(text: String, cores: Int?) {
        #expect(CPUQuota.cores(of: text) == cores)
    }

    @Test("The least on the way to the root holds")
    func nested() {
        let files = ["": "max 100000", "/a": "200000 100000", "/a/b": "400000 100000"]
        func cores(_ membership: String) -> Int? {
            CPUQuota.cores(inside: membership) { files[$0] }
        }
        #expect(cores("0::/a/b\n") == 2)
        #expect(cores("0::/a/b/c\n") == 2)
        #expect(cores("0::/\n") == nil)
        #expect(cores("0::/../a\n") == 2)
        #expect(cores("4:cpu:/a\n0::/a\n") == 2)
        #expect(cores("4:cpu:/a\n") == nil)
    }
}
