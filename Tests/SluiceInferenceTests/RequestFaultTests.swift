import SluiceCore
import SluiceInference
import Testing

@Suite("What is wrong with a request")
struct RequestFaultTests {
    /// A body, and a part of what is said about it; nil where nothing is wrong.
    struct Case: Sendable, CustomTestStringConvertible {
        let form: RequestFault.APIForm
        let body: String
        var headerLength: Int?
        var runtimeKind = RuntimeKind.generic
        let said: String?
        var testDescription: String { "\(form) \(body.prefix(60))" }

        init(
            _ form: RequestFault.APIForm,
            _ body: String,
            _ said: String?,
            headerLength: Int? = nil,
            _ runtimeKind: RuntimeKind = .generic
        ) {
            (self.form, self.body, self.said) = (form, body, said)
            (self.headerLength, self.runtimeKind) = (headerLength, runtimeKind)
        }

        static func tensor(
            _ shape: String,
            _ type: String,
            _ data: String,
            _ said: String?,
            _ runtimeKind: RuntimeKind = .generic
        ) -> Case {
            let tensor =
                "{\"name\":\"x\",\"shape\":\(shape),\"datatype\":\"\(type)\",\"data\":\(data)}"
            return Case(.v2, "{\"inputs\":[\(tensor)]}", said, runtimeKind)
        }
    }

    static let syntaxCases: [Case] = [
        Case(.v1, "", "a value is missing at byte 0 (line 1, column 1)"),
        Case(.v1, "{\"instances\": [1,]}", "at byte 17 (line 1, column 18)"),
        Case(.v1, "{\n  \"instances\": [[1, 2]\n}", "at byte 25 (line 3, column 1)"),
        Case(.v2, "{\"inputs\": [", "a value is missing at byte 12"),
        Case(.v2, "{'inputs': []}", "at byte 1 (line 1, column 2)"),
        Case(.object, "{\"text_input\": \"a}", "a string has no end"),
        Case(.object, "{\"text_input\": \"a\"} x", "something after the end at byte 20"),
        Case(.object, "[1]", "must be a JSON object"),
        Case(.object, "{\"text_input\": \"a\", \"max_tokens\": 01}", "at byte 34"),
        Case(.v1, "{\"instances\": [NaN]}", "at byte 15"),
        Case(.v1, "{\"instances\": [NaN]}", nil, .tfserving),
        Case(.v2, "{\"inputs\": [{\"deep\":\(String(repeating: "[", count: 200))", "nested deeper"),
    ]

    static let membersCases: [Case] = [
        Case(.v1, "{\"instances\": [{\"a\": 1}]}", nil),
        Case(.v1, "{\"instances\": [], \"parameters\": {}}", nil),
        Case(.v1, "{\"inputs\": {\"a\": [1]}}", nil),
        Case(.v1, "{\"inputs\": [[1]]}", nil),
        Case(
            .v1,
            "{\"inputs\": 5}",
            "'inputs' must be a list, or an object of columns, at byte 11"
        ),
        Case(.v1, "{\"inputs\": 5}", nil, .tfserving),
        Case(.v1, "{\"instances\": {}}", "'instances' must be a list"),
        Case(.v1, "{\"rows\": []}", "neither 'instances' nor 'inputs'"),
        Case(.v1, "[[1, 2]]", "must be a JSON object"),
        Case(.object, "{\"text_input\": \"a\"}", nil),
        Case(.v2, "{}", "no 'inputs'"),
        Case(.v2, "{\"inputs\": []}", nil),
        Case(.v2, "{\"inputs\": [], \"inputs\": []}", "twice"),
        Case(.v2, "{\"inputs\": [{\"name\": \"x\", \"shape\": [1], \"data\": [1]}]}", "'datatype'"),
        Case(.v2, "{\"inputs\": [5]}", "a tensor must be a JSON object"),
    ]

    static let tensorsCases: [Case] = [
        .tensor("[2,2]", "FP32", "[1,2,3,4]", nil),
        .tensor("[2,2]", "FP32", "[[1,2],[3,4]]", nil),
        // How elements nest isn't for us to say, how many there are is.
        .tensor("[4]", "FP32", "[[1,2],[3,4]]", nil),
        .tensor("[2,2]", "FP32", "[1,2,3]", "has 3 elements where shape [2, 2] takes 4"),
        .tensor("[2,2]", "FP32", "[1,2,3]", "inputs[0].data at byte"),
        .tensor("[2,2]", "FP32", "[1,2,3,4,5]", "has 5 elements where shape [2, 2] takes 4"),
        .tensor("[2,2]", "FP32", "[[1,2],[3]]", "inputs[0].data"),
        .tensor("[1]", "FP32", "[\"a\"]", "takes FP32"),
        .tensor("[1]", "INT8", "[300]", "takes INT8"),
        .tensor("[1]", "BYTES", "[1]", "takes BYTES"),
        .tensor("[1]", "BYTES", "[\"a\"]", nil),
        .tensor("[1]", "FP33", "[1]", "FP33"),
        .tensor("[-1]", "FP32", "[1]", "impossible shape"),
        .tensor("[1]", "FP32", "[null]", "takes FP32"),
        .tensor("[1]", "FP32", "[null]", nil, .mlserver),
        .tensor("[0]", "FP32", "[]", nil),
    ]

    @Test("What isn't JSON is told with byte, line and column", arguments: syntaxCases)
    func syntax(_ example: Case) { check(example) }

    @Test("What isn't the protocol's is told with the member", arguments: membersCases)
    func members(_ example: Case) { check(example) }

    @Test("Data that doesn't fit its shape or type is told", arguments: tensorsCases)
    func tensors(_ example: Case) { check(example) }

    @Test("Binary tensors must add up to the body")
    func binary() {
        let head =
            "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"FP32\",\"parameters\":{\"binary_data_size\":8}}]}"
        let length = head.utf8.count
        check(Case(.v2, head + "12345678", nil, headerLength: length))
        check(Case(.v2, head + "1234", "binary_data_size", headerLength: length))
        check(Case(.v2, head + "123456789", "belong to no tensor", headerLength: length))
        check(Case(.v2, head, "Inference-Header-Content-Length is 500", headerLength: 500))
        check(Case(.v2, head, "is not a number", headerLength: -2))
        // Only the model knows the shape of a raw request.
        check(Case(.v2, "12345678", nil, headerLength: 0))
        let short = head.replacing("binary_data_size\":8", with: "binary_data_size\":4")
        check(
            Case(
                .v2,
                short + "1234",
                "has 4 bytes where shape [2] of FP32 takes 8",
                headerLength: length
            )
        )
    }

    @Test(
        "A message whose contents don't fit its shape is told, one that is compressed can't be read"
    )
    func messages() {
        // inputs: name "x", datatype "FP32", shape [2]; raw_input_contents.
        let tensor: [UInt8] =
            [0x0A, 1, 0x78, 0x12, 4] + Array("FP32".utf8) + [0x1A, 1, 2]
        let head: [UInt8] = [0x0A, 1, 0x6D, 0x2A, UInt8(tensor.count)] + tensor
        func said(_ raw: Int, flag: UInt8 = 0) -> String? {
            let message = head + [0x3A, UInt8(raw)] + [UInt8](repeating: 0, count: raw)
            let kept = Kept([flag, 0, 0, 0, UInt8(message.count)] + message)
            return unsafe RequestFault.find(in: kept.bytes, .grpc, .generic)?.sentence
        }
        #expect(said(8) == nil)
        #expect(said(4)?.contains("has 4 bytes where shape [2] of FP32 takes 8") == true)
        #expect(said(4, flag: 1) == nil)
    }

    private func check(_ example: Case) {
        let kept = Kept(example.body)
        let fault = unsafe RequestFault.find(
            in: kept.bytes,
            example.form,
            headerLength: example.headerLength,
            example.runtimeKind
        )
        if let said = example.said {
            #expect(
                fault?.sentence.contains(said) == true,
                "\(fault?.sentence ?? "nothing is wrong")"
            )
        } else {
            #expect(fault == nil)
        }
    }
}
