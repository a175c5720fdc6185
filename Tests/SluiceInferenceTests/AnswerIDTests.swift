import SluiceCore
import SluiceInference
import Testing

@Suite("The id of an answer")
struct AnswerIDTests {
    @Test(
        "An id is replaced, put in or taken out, and nothing else changes",
        arguments: [
            (#"{"id":"a","x":[1, 2]}"#, #"{"id":"b","x":[1, 2]}"#, #"{"x":[1, 2]}"#),
            (
                #"{ "x":{"id":1} , "id" : "\u0061" }"#, #"{ "x":{"id":1} , "id" : "b" }"#,
                #"{ "x":{"id":1} }"#
            ),
            (#"{"x":1}"#, #"{"id":"b","x":1}"#, #"{"x":1}"#), ("{}", #"{"id":"b"}"#, "{}"),
            (#"{"id":null}"#, #"{"id":"b"}"#, "{}"),
        ]
    )
    func json(body: String, with: String, without: String) throws {
        for (id, expected) in [("b", with), ("", without)] {
            let kept = Kept(Array(body.utf8) + [1, 2, 3])
            let (bytes, length) = try written { output, _ throws(InferenceFailure) in
                try unsafe AnswerID.replace(
                    in: kept.bytes,
                    headerLength: body.utf8.count,
                    .v2,
                    with: id,
                    to: &output
                )
            }
            #expect(bytes == Array(expected.utf8) + [1, 2, 3] && length == expected.utf8.count)
        }
    }

    @Test(
        "A gRPC answer is the one its own call would have got",
        arguments: ["", "a", "another one"],
        ["", "b"]
    )
    func message(before: String, after: String) throws {
        let tensor = Tensor(name: "x", datatype: .int8, shape: [1], bytes: [1])
        func answer(_ id: String) throws -> [UInt8] {
            try InferenceResponse(modelName: "m", modelVersion: "1", id: id, outputs: [tensor])
                .message(raw: true)
        }
        let kept = Kept(try answer(before))
        let found = try written { output, _ throws(InferenceFailure) in
            try unsafe AnswerID.replace(in: kept.bytes, .grpc, with: after, to: &output)
        }
        #expect(try found.bytes == answer(after))
    }
}
