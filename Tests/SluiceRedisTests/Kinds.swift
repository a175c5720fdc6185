import Testing

extension Tag {
    @Tag static var property: Self
    @Tag static var conformance: Self
    @Tag static var integration: Self
}
