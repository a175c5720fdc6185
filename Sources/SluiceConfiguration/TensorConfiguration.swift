import SluiceCore
import SluiceInference
import Yams

extension ModelSignature {
    /// The value of `tensors`.
    var yamlText: String {
        let inputs = inputs.map { $0.yamlText }.joined(separator: ", ")
        let outputs = outputs.map { $0.yamlText }.joined(separator: ", ")
        return "{inputs: [\(inputs)]\(outputs.isEmpty ? "" : ", outputs: [\(outputs)]")}"
    }
}

extension TensorSignature {
    fileprivate var yamlText: String {
        let shape =
            shape.isEmpty ? "" : ", shape: [\(shape.map(String.init).joined(separator: ", "))]"
        return "{name: \(YAMLText.quoted(name)), datatype: \(datatype.rawValue)\(shape)}"
    }
}

// MARK: - Reading

extension ConfigurationReader {
    // What a model takes is written by hand, so more than this is a slip.
    private static let tensorsMaximum = 1000
    private static let dimensionsMaximum = 32

    /// What a model takes and gives, for runtimes that don't tell.
    func tensors(_ node: Node, _ name: String) -> ModelSignature? {
        guard var section = Section(node, name: name, findings) else { return nil }
        let inputs = tensors(section.list("inputs"), "\(name).inputs", at: node)
        let hasOutputs = section.value("outputs") != nil
        let outputs =
            hasOutputs ? tensors(section.list("outputs"), "\(name).outputs", at: node) : []
        section.finish()
        return ModelSignature(inputs: inputs, outputs: outputs)
    }

    private func tensors(_ nodes: [Node], _ name: String, at node: Node) -> [TensorSignature] {
        guard nodes.count <= ConfigurationReader.tensorsMaximum else {
            findings.add(
                "`\(name)` has \(nodes.count) tensors; at most \(ConfigurationReader.tensorsMaximum) are taken",
                at: node
            )
            return []
        }
        var found: [TensorSignature] = []
        var names: Set<String> = []
        for (place, node) in nodes.enumerated() {
            guard let tensor = tensor(node, "\(name)[\(place)]") else { continue }
            guard names.insert(tensor.name).inserted else {
                findings.add("tensor '\(tensor.name)' stands twice in `\(name)`", at: node)
                continue
            }
            found.append(tensor)
        }
        return found
    }

    private func tensor(_ node: Node, _ name: String) -> TensorSignature? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        _ = section.required("name")
        let title = section.text("name")
        var datatype: DataType?
        if let node = section.required("datatype") {
            let text = node.scalar?.string ?? ""
            datatype = DataType(rawValue: text)
            if datatype == nil {
                let known = DataType.allCases.map(\.rawValue).joined(separator: ", ")
                findings.add(
                    "`\(name).datatype` must be one of \(known), not '\(Redaction.value(text))'",
                    at: node
                )
            }
        }
        var shape: [Int] = []
        if let node = section.value("shape") {
            let dimensions = node.sequence.map { $0.map { $0.scalar.flatMap { Int($0.string) } } }
            if let dimensions, dimensions.count <= ConfigurationReader.dimensionsMaximum,
                dimensions.allSatisfy({ $0.map { $0 >= -1 && $0 <= 1 << 40 } ?? false })
            {
                shape = dimensions.compactMap { $0 }
            } else {
                findings.add(
                    "`\(name).shape` must be a list of whole numbers such as [-1, 4]; -1 is any size",
                    at: node
                )
            }
        }
        guard let title, let datatype else { return nil }
        return TensorSignature(title, datatype, shape)
    }
}
