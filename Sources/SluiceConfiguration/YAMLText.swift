/// Values as YAML writes them.
enum YAMLText {
    /// A double-quoted string, so that nothing in it means anything (YAML 1.2 §7.3.1).
    static func quoted(_ text: String) -> String {
        let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(escaped)\""
    }
}
