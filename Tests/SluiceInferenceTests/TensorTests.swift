import SluiceCore
import SluiceInference
import SluiceWire
import Testing

@Suite("Tensors in every form")
struct TensorTests {
    static func random(_ datatype: DataType, _ random: inout RandomSource) -> Tensor {
        let shape = (0..<(1 + random.next(below: 3))).map { _ in random.next(below: 4) }
        let count = shape.reduce(1, *)
        var bytes: [UInt8] = []
        for _ in 0..<count {
            switch datatype {
            case .bool: bytes.append(UInt8(random.next(below: 2)))
            case .bytes:
                let text = String(repeating: "ä\"\n", count: random.next(below: 3))
                bytes.appendLittleEndian(UInt32(text.utf8.count))
                bytes += Array(text.utf8)
            case .fp32:
                let value = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
                bytes.appendLittleEndian((value.isNaN ? .infinity : value).bitPattern)
            case .fp64:
                let value = Double(bitPattern: random.next())
                bytes.appendLittleEndian((value.isNaN ? -.infinity : value).bitPattern)
            default:
                for _ in 0..<(datatype.size ?? 1) {
                    bytes.append(UInt8(truncatingIfNeeded: random.next()))
                }
            }
        }
        return Tensor(name: "x", datatype: datatype, shape: shape, bytes: bytes)
    }

    @Test(
        "JSON, binary and protobuf each give the same tensor back",
        arguments: DataType.allCases,
        0..<40 as Range<UInt64>
    )
    func roundTrips(datatype: DataType, seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let tensor = Self.random(datatype, &random)
        let response = V2Response(modelName: "m", modelVersion: "1", id: "7", outputs: [tensor])
        #expect(try V2Response(message: response.message(raw: true)) == response)
        if datatype != .fp16 && datatype != .bf16 {
            #expect(try V2Response(message: response.message(raw: false)) == response)
            let again = try Tensor(
                name: "x",
                datatype: datatype,
                shape: tensor.shape,
                data: tensor.jsonData()
            )
            #expect(again == tensor)
        }
        var request = V2Request()
        request.prefersBinary = true
        let (body, length) = try response.body(for: request)
        let text = String(decoding: body[..<(length ?? 0)], as: UTF8.self)
        // A response is a request but for the word `outputs`.
        let asRequest = Array(text.replacing("\"outputs\"", with: "\"inputs\"").utf8)
        let back = try V2Request(
            body: asRequest + body[(length ?? 0)...],
            headerLength: asRequest.count
        )
        #expect(back.inputs == [tensor] && back.id == "7")
    }

    @Test(
        "A request that can't be right is told what is wrong with which tensor",
        arguments: [
            ("{}", "no 'inputs'"), ("[", "not JSON"), ("[]", "must be a JSON object"),
            (#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP99","data":[1]}]}"#, "input 'a'"),
            (
                #"{"inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1]}]}"#,
                "tensor 'a' has 4 bytes"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","data":[300]}]}"#,
                "takes INT8, not 300"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[-1],"datatype":"INT8","data":[]}]}"#,
                "impossible shape"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[1],"datatype":"FP16","data":[1]}]}"#,
                "no JSON form"
            ),
        ]
    )
    func errors(body: String, part: String) {
        #expect {
            try V2Request(body: Array(body.utf8), headerLength: nil)
        } throws: { ($0 as? InferenceFailure)?.sentence.contains(part) ?? false }
    }

    @Test(
        "JSON is read strictly, but for the tokens that model servers write",
        arguments: [
            ("[1,2.5,-3e10]", true), ("{\"a\":null}", true), ("NaN", true), ("[-Infinity]", true),
            ("\"\\u00e4\\ud83d\\ude00\"", true), ("", false), ("[1,]", false), ("[01]", false),
            ("[1.]", false), ("{\"a\"}", false), ("\"\u{1}\"", false), ("\"\\ud83d\"", false),
            ("nan", false), ("[1] x", false), ("\"\\x\"", false), ("-", false), ("1e", false),
            (String(repeating: "[", count: 200), false),
        ]
    )
    func json(text: String, isGood: Bool) {
        #expect(((try? JSONParser.parse(Array(text.utf8))) != nil) == isGood)
    }
}
