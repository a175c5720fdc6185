import SluiceInference
import Testing

@Suite("Metadata from form to form")
struct ModelDescriptionTests {
    private static let json =
        #"{"name":"m","versions":["1","2"],"platform":"python","#
        + #""inputs":[{"name":"x","datatype":"FP8","shape":[-1,4]}],"#
        + #""outputs":[{"name":"y","datatype":"BYTES","shape":[]}]}"#

    @Test(
        "JSON becomes a ModelMetadataResponse and comes back the same, unknown datatypes included"
    )
    func roundTrip() throws {
        let told = try ModelDescription(json: Array(Self.json.utf8))
        let kept = Kept(told.protobuf)
        let read = try unsafe ModelDescription(protobuf: kept.bytes)
        #expect(read == told && String(decoding: read.json, as: UTF8.self) == Self.json)
    }

    @Test("What a server leaves out is empty, and what describes no model is refused")
    func sparse() throws {
        let told = try ModelDescription(json: Array(#"{"name":"m","inputs":null}"#.utf8))
        #expect(
            String(decoding: told.json, as: UTF8.self)
                == #"{"name":"m","versions":[],"platform":"","inputs":[],"outputs":[]}"#
        )
        #expect(sentence { _ = try ModelDescription(json: Array("[]".utf8)) } != nil)
        #expect(sentence { _ = try ModelDescription(json: Array("{".utf8)) } != nil)
        let broken = Kept([0x22, 9, 1])
        #expect(sentence { _ = try unsafe ModelDescription(protobuf: broken.bytes) } != nil)
    }

    @Test("A question's version is read; without one it is empty", arguments: ["", "7"])
    func requestMessage(version: String) throws {
        let kept = Kept(ModelDescription.requestMessage(model: "m", version: version))
        #expect(try unsafe ModelDescription.version(in: kept.bytes) == version)
    }

    @Test(
        "A name from a message stays one name in a path",
        arguments: [
            ("1.0-rc_2~", "1.0-rc_2~"), ("a/../b", "a%2F..%2Fb"), ("x y\r\nz", "x%20y%0D%0Az"),
            ("ä?#", "%C3%A4%3F%23"), ("%2F", "%252F"),
        ]
    )
    func segments(name: String, escaped: String) {
        #expect(PathSegment.escaped(name) == escaped)
    }
}
