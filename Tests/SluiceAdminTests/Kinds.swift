import Testing

extension Tag {
    @Tag static var simulation: Self
    @Tag static var unit: Self
}
