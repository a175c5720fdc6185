/// The shape of a rectangular array of arrays: how many elements each level has, outermost first.
///
/// A lone number has rank 0 and one element; `[]` has the shape [0], `[[],[]]` has [2, 0].
package struct JSONShape: Sendable {
    /// Levels of an array at most; above that the text is refused.
    package static let rankMaximum = 16

    /// How many levels of brackets there are.
    package internal(set) var rank = 0
    var dimensions = InlineArray<16, Int>(repeating: 0)

    /// The length of the arrays at `level`, which is below ``rank``.
    package subscript(level: Int) -> Int {
        precondition(level < rank, "the shape has fewer levels")
        return dimensions[level]
    }

    /// How many numbers there are.
    package var count: Int {
        var product = 1
        // Each factor was counted in the text, so the product is no larger than the text.
        for level in 0..<rank { product *= dimensions[level] }
        return product
    }

    /// The shape as an array.
    package var array: [Int] { (0..<rank).map { dimensions[$0] } }
}
