import Foundation
import SluiceTLS

/// A certificate made for this run, by OpenSSL's own command.
enum TestCertificate {
    static let files: (certificate: String, key: String) = {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "sluice-simulation-\(ProcessInfo.processInfo.processIdentifier)"
        )
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let files = (folder.appending(path: "c.pem").path, folder.appending(path: "k.pem").path)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", files.0, "-keyout", files.1,
        ]
        process.standardError = FileHandle.nullDevice
        try? process.run()
        process.waitUntilExit()
        return files
    }()

    static func server() throws -> TLSServerContext {
        try TLSServerContext(
            certificateFile: files.certificate,
            keyFile: files.key,
            clientCAFile: nil
        )
    }

    static func client(_ protocols: [TLSApplicationProtocol]) throws -> TLSClientContext {
        try TLSClientContext(
            caFile: files.certificate,
            certificateFile: nil,
            keyFile: nil,
            skipsVerification: false,
            protocols: protocols
        )
    }
}
