import Testing

extension Tag {
    @Tag static var property: Self
}
