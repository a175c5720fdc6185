import Foundation
import Yams

extension Configuration {
    /// The admin port, and what guards and remembers what is changed there.
    package struct Admin: Sendable, Equatable {
        package var address = ListenAddress(host: "127.0.0.1", port: 9901)
        /// Whether the command line has said the address, which then outlives reloads.
        package private(set) var isAddressGiven = false
        /// Whose first line every call that changes something must carry; absent: nobody is asked.
        package var tokenFile: String?
        /// Where weights and states set at run time survive a restart; absent: they don't.
        package var stateFile: String?

        /// Takes the command line's address over the file's.
        package mutating func give(address: ListenAddress) {
            self.address = address
            isAddressGiven = true
        }
    }
}

// MARK: - Reading

extension ConfigurationReader {
    func admin(_ node: Node, _ admin: inout Configuration.Admin) {
        guard var section = Section(node, name: "admin", findings) else { return }
        if let address = address(&section, "address") { admin.address = address }
        admin.tokenFile = file(&section, "tokenFile", isRequired: false)
        if let text = section.text("stateFile") {
            let path = resolved(text)
            let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
            if FileManager.default.isWritableFile(atPath: folder.isEmpty ? "/" : folder) {
                admin.stateFile = path
            } else {
                findings.add(
                    "`admin.stateFile`: the folder \(folder) must exist and be writable, for the file is replaced as a whole",
                    at: section.value("stateFile") ?? node
                )
            }
        }
        section.finish()
    }
}
