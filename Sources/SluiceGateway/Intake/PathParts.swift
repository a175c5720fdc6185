import SluiceInference

/// Where the model stands in the path of a REST request; begun in its ``RequestSlot``.
struct PathParts: BitwiseCopyable {
    // A head is far below 4 GiB.
    var modelStart: UInt32 = 0
    var modelEnd: UInt32 = 0
    var prefixLength: UInt32 = 0

    /// A path without a model.
    init() {}

    /// Where the model stands in `path`.
    init(_ path: InferencePath) {
        modelStart = UInt32(path.model.lowerBound)
        modelEnd = UInt32(path.model.upperBound)
        prefixLength = UInt32(path.prefixLength)
    }

    /// The prefix was taken off the path.
    mutating func removePrefix() {
        modelStart -= prefixLength
        modelEnd -= prefixLength
        prefixLength = 0
    }
}
