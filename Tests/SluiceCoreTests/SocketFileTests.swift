import SluiceCore
import Testing

@Suite("The file of a Unix socket, as it is written")
struct SocketFileTests {
    @Test(
        "A path is read as gRPC and others name it",
        arguments: [
            ("unix:///run/a.sock", "/run/a.sock"),
            ("unix:/run/a.sock", "/run/a.sock"),
            ("unix:a.sock", "conf/a.sock"),
            ("unix:run/a.sock", "conf/run/a.sock"),
            ("unix:///run/a%20b%25.sock", "/run/a b%.sock"),
            ("unix://%2Frun%2fa.sock", "/run/a.sock"),
            ("unix:///run/ü.sock", "/run/ü.sock"),
        ]
    )
    func paths(text: String, path: String) {
        #expect(SocketFile.read(text, relativeTo: "conf") == .path(path))
    }

    @Test(
        "What is no socket's file is left to others",
        arguments: ["", "127.0.0.1:80", "unix", "unixy:80", "http://unix:80", "/run/a.sock"]
    )
    func others(text: String) { #expect(SocketFile.read(text) == .other) }

    @Test(
        "What was meant for one is told what is wrong",
        arguments: [
            ("unix://run/a.sock", "a slash of its own"),
            ("unix-abstract:sluice", "abstract"), ("unix:@sluice", "abstract"),
            ("unix://@sluice", "abstract"), ("unix:", "a file's name"),
            ("unix://", "a file's name"),
            ("unix:///", "a file's name"), ("unix:///run/", "a file's name"),
            ("unix:///run/%zz", "hexadecimal"), ("unix:///run/%0", "hexadecimal"),
            ("unix:///run/%00", "hexadecimal"), ("unix:///run/%ff", "hexadecimal"),
        ]
    )
    func wrong(text: String, part: String) {
        guard case .wrong(let sentence) = SocketFile.read(text) else {
            Issue.record("\(text) is taken for good")
            return
        }
        #expect(sentence.contains(part))
    }

    @Test("A path has at most 107 bytes, and what is longer is told both numbers")
    func length() {
        let longest = "/" + String(repeating: "a", count: 106)
        #expect(SocketFile.read("unix://\(longest)") == .path(longest))
        let reading = SocketFile.read("unix://\(longest)a")
        #expect(
            reading == .wrong("a socket's path has at most 107 bytes, and this one has 108")
        )
        // Bytes count, not characters, and the folder's count as well.
        let umlauts = "/" + String(repeating: "ü", count: 54)
        #expect(SocketFile.read("unix://\(umlauts)") != .path(umlauts))
        #expect(SocketFile.read("unix:a", relativeTo: longest) != .path("\(longest)/a"))
    }

    @Test(
        "What is written reads back, in visible ASCII",
        arguments: ["/run/a.sock", "/run/a b%c.sock", "/run/ü\n.sock", "./a.sock"]
    )
    func text(path: String) {
        let text = SocketFile.text(of: path)
        #expect(text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
        let name = HostName(host: path, port: 0)
        #expect(name.isSocketFile && name.isNumeric && name.text == text)
        guard case .path(let read) = SocketFile.read(text) else {
            Issue.record("\(text) doesn't read back")
            return
        }
        #expect(read.hasSuffix(path))
    }
}
