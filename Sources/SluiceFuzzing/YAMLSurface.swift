import SluiceConfiguration

/// The configuration's text: it becomes a configuration, which reads back from what it is printed as,
/// or diagnostics, each with a line and a column in the text.
enum YAMLSurface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        let yaml = unsafe String(decoding: bytes, as: UTF8.self)
        let read: Configuration
        do throws(ConfigurationFailure) {
            read = try Configuration.parse(yaml: yaml, file: "/nowhere/f.yaml")
        } catch {
            try expect(!error.diagnostics.isEmpty, "refused without a reason")
            // Each byte may end a line, and YAML has more line ends than most.
            let places = 1...(yaml.utf8.count + 2)
            for found in error.diagnostics where found.file == "/nowhere/f.yaml" {
                try expect(
                    places.contains(found.line) && places.contains(found.column)
                        && !found.message.isEmpty,
                    "\(found.line):\(found.column): \(found.message)"
                )
            }
            return
        }
        // A password is hidden where people read.
        let text = read.yamlText
        guard !text.contains("***") else { return }
        do throws(ConfigurationFailure) {
            let again = try Configuration.parse(yaml: text, file: "/nowhere/f.yaml")
            try same(read, again, text)
        } catch {
            throw Finding("printed as \(text), which isn't read: \(error.diagnostics)")
        }
    }

    private static func same(
        _ read: Configuration,
        _ again: Configuration,
        _ text: String
    ) throws(ConfigurationFailure) {
        guard read != again else { return }
        throw ConfigurationFailure(diagnostics: [
            Diagnostic(file: "", line: 1, column: 1, message: "it reads back as another: \(text)")
        ])
    }
}
