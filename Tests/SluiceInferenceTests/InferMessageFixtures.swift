// Made by Tests/fixtures/make_infer_messages.py with Python's protobuf 7.36.2 from
// Sources/SluiceGRPC/Protos/inference.proto. Not written by hand.

/// A ModelInferResponse or ModelInferRequest as an independent implementation serializes it.
struct InferMessageFixture {
    let datatype: String
    let shape: [Int]
    /// The tensor's little-endian bytes.
    let raw: String
    /// A ModelInferResponse with raw contents.
    let rawResponse: String
    /// The same with typed contents; empty where there are none.
    let typedResponse: String
    /// A ModelInferRequest with typed contents (raw for FP16 and BF16), parameters of every kind and requested outputs.
    let request: String

    static let all = [
        InferMessageFixture(
            datatype: "BOOL",
            shape: [3],
            raw: "AAAB",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgwKAXgSBEJPT0waAQMyAwAA\
                AQ==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhMKAXgSBEJPT0waAQMqBQoD\
                AAAB
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASopCgF4EgRCT09MGgEDIhQKDGNv\
                bnRlbnRfdHlwZRIEGgJucCoFCgMAAAEyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "BOOL",
            shape: [2, 2],
            raw: "AAEBAQ==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEJPT0waAgICMgQA\
                AQEB
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhUKAXgSBEJPT0waAgICKgYK\
                BAABAQE=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASorCgF4EgRCT09MGgICAiIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqBgoEAAEBATIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "BOOL",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEJPT0waAgAEMgA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBEJPT0waAgAEKgA=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASolCgF4EgRCT09MGgIABCIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqADIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "BOOL",
            shape: [],
            raw: "AQ==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgkKAXgSBEJPT0wyAQE=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBEJPT0wqAwoBAQ==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASokCgF4EgRCT09MIhQKDGNvbnRl\
                bnRfdHlwZRIEGgJucCoDCgEBMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "INT8",
            shape: [3],
            raw: "f38R",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgwKAXgSBElOVDgaAQMyA39/\
                EQ==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhMKAXgSBElOVDgaAQMqBRID\
                f38R
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASopCgF4EgRJTlQ4GgEDIhQKDGNv\
                bnRlbnRfdHlwZRIEGgJucCoFEgN/fxEyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "INT8",
            shape: [2, 2],
            raw: "f38A8Q==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBElOVDgaAgICMgR/\
                fwDx
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKh4KAXgSBElOVDgaAgICKg8S\
                DX9/APH//////////wE=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo0CgF4EgRJTlQ4GgICAiIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqDxINf38A8f//////////ATIZCgF5EhQKDmNsYXNzaWZpY2F0aW9u\
                EgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "INT8",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBElOVDgaAgAEMgA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBElOVDgaAgAEKgA=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASolCgF4EgRJTlQ4GgIABCIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqADIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "INT8",
            shape: [],
            raw: "gA==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgkKAXgSBElOVDgyAYA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhcKAXgSBElOVDgqDBIKgP//\
                ////////AQ==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASotCgF4EgRJTlQ4IhQKDGNvbnRl\
                bnRfdHlwZRIEGgJucCoMEgqA//////////8BMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "INT16",
            shape: [3],
            raw: "t1YAgACA",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBUlOVDE2GgEDMga3\
                VgCAAIA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKigKAXgSBUlOVDE2GgEDKhkS\
                F7etAYCA/v///////wGAgP7///////8B
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo+CgF4EgVJTlQxNhoBAyIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqGRIXt60BgID+////////AYCA/v///////wEyGQoBeRIUCg5jbGFz\
                c2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "INT16",
            shape: [2, 2],
            raw: "AAAAAAEAAAA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBUlOVDE2GgICAjII\
                AAAAAAEAAAA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhYKAXgSBUlOVDE2GgICAioG\
                EgQAAAEA
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASosCgF4EgVJTlQxNhoCAgIiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKgYSBAAAAQAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "INT16",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBUlOVDE2GgIABDIA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhAKAXgSBUlOVDE2GgIABCoA
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASomCgF4EgVJTlQxNhoCAAQiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKgAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "INT16",
            shape: [],
            raw: "AQA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgoKAXgSBUlOVDE2MgIBAA==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBUlOVDE2KgMSAQE=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASolCgF4EgVJTlQxNiIUCgxjb250\
                ZW50X3R5cGUSBBoCbnAqAxIBATIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "INT32",
            shape: [3],
            raw: "AAAAgAEAAABaSSJZ",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBUlOVDMyGgEDMgwA\
                AACAAQAAAFpJIlk=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKiEKAXgSBUlOVDMyGgEDKhIS\
                EICAgID4/////wEB2pKJyQU=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo3CgF4EgVJTlQzMhoBAyIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqEhIQgICAgPj/////AQHakonJBTIZCgF5EhQKDmNsYXNzaWZpY2F0\
                aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "INT32",
            shape: [2, 2],
            raw: "AAAAgP///38AAACA////fw==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBUlOVDMyGgICAjIQ\
                AAAAgP///38AAACA////fw==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKjAKAXgSBUlOVDMyGgICAiog\
                Eh6AgICA+P////8B/////weAgICA+P////8B/////wc=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASpGCgF4EgVJTlQzMhoCAgIiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKiASHoCAgID4/////wH/////B4CAgID4/////wH/////BzIZCgF5\
                EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "INT32",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBUlOVDMyGgIABDIA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhAKAXgSBUlOVDMyGgIABCoA
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASomCgF4EgVJTlQzMhoCAAQiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKgAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "INT32",
            shape: [],
            raw: "AQAAAA==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgoKAXgSBUlOVDMyMgQBAAAA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBUlOVDMyKgMSAQE=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASolCgF4EgVJTlQzMiIUCgxjb250\
                ZW50X3R5cGUSBBoCbnAqAxIBATIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "INT64",
            shape: [3],
            raw: "AAAAAAAAAAC2MiGhF5yeXgEAAAAAAAAA",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBUlOVDY0GgEDMhgA\
                AAAAAAAAALYyIaEXnJ5eAQAAAAAAAAA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhwKAXgSBUlOVDY0GgEDKg0a\
                CwC25YSJ+oKnz14B
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASoyCgF4EgVJTlQ2NBoBAyIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqDRoLALblhIn6gqfPXgEyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhIC\
                EAM=
                """
        ),
        InferMessageFixture(
            datatype: "INT64",
            shape: [2, 2],
            raw: "/////////38AAAAAAAAAgAAAAAAAAAAAAQAAAAAAAAA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBUlOVDY0GgICAjIg\
                /////////38AAAAAAAAAgAAAAAAAAAAAAQAAAAAAAAA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKicKAXgSBUlOVDY0GgICAioX\
                GhX//////////3+AgICAgICAgIABAAE=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo9CgF4EgVJTlQ2NBoCAgIiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKhcaFf//////////f4CAgICAgICAgAEAATIZCgF5EhQKDmNsYXNz\
                aWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "INT64",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBUlOVDY0GgIABDIA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhAKAXgSBUlOVDY0GgIABCoA
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASomCgF4EgVJTlQ2NBoCAAQiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKgAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "INT64",
            shape: [],
            raw: "AAAAAAAAAAA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgoKAXgSBUlOVDY0MggAAAAA\
                AAAAAA==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBUlOVDY0KgMaAQA=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASolCgF4EgVJTlQ2NCIUCgxjb250\
                ZW50X3R5cGUSBBoCbnAqAxoBADIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "UINT8",
            shape: [3],
            raw: "/4gB",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBVVJTlQ4GgEDMgP/\
                iAE=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhYKAXgSBVVJTlQ4GgEDKgci\
                Bf8BiAEB
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASosCgF4EgVVSU5UOBoBAyIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqByIF/wGIAQEyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "UINT8",
            shape: [2, 2],
            raw: "AAABwg==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBVVJTlQ4GgICAjIE\
                AAABwg==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhcKAXgSBVVJTlQ4GgICAioH\
                IgUAAAHCAQ==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASotCgF4EgVVSU5UOBoCAgIiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKgciBQAAAcIBMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "UINT8",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBVVJTlQ4GgIABDIA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhAKAXgSBVVJTlQ4GgIABCoA
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASomCgF4EgVVSU5UOBoCAAQiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKgAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "UINT8",
            shape: [],
            raw: "AA==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgoKAXgSBVVJTlQ4MgEA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBVVJTlQ4KgMiAQA=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASolCgF4EgVVSU5UOCIUCgxjb250\
                ZW50X3R5cGUSBBoCbnAqAyIBADIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "UINT16",
            shape: [3],
            raw: "AQDJ9gAA",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBlVJTlQxNhoBAzIG\
                AQDJ9gAA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhcKAXgSBlVJTlQxNhoBAyoH\
                IgUBye0DAA==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASotCgF4EgZVSU5UMTYaAQMiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKgciBQHJ7QMAMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "UINT16",
            shape: [2, 2],
            raw: "//8AAAAAAQA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBlVJTlQxNhoCAgIy\
                CP//AAAAAAEA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhkKAXgSBlVJTlQxNhoCAgIq\
                CCIG//8DAAAB
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASovCgF4EgZVSU5UMTYaAgICIhQK\
                DGNvbnRlbnRfdHlwZRIEGgJucCoIIgb//wMAAAEyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "UINT16",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBlVJTlQxNhoCAAQy\
                AA==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhEKAXgSBlVJTlQxNhoCAAQq\
                AA==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASonCgF4EgZVSU5UMTYaAgAEIhQK\
                DGNvbnRlbnRfdHlwZRIEGgJucCoAMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "UINT16",
            shape: [],
            raw: "EPY=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgsKAXgSBlVJTlQxNjICEPY=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhIKAXgSBlVJTlQxNioFIgOQ\
                7AM=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASooCgF4EgZVSU5UMTYiFAoMY29u\
                dGVudF90eXBlEgQaAm5wKgUiA5DsAzIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "UINT32",
            shape: [3],
            raw: "udlVxgAAAAD/////",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBlVJTlQzMhoBAzIM\
                udlVxgAAAAD/////
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKh0KAXgSBlVJTlQzMhoBAyoN\
                Igu5s9eyDAD/////Dw==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASozCgF4EgZVSU5UMzIaAQMiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKg0iC7mz17IMAP////8PMhkKAXkSFAoOY2xhc3NpZmljYXRpb24S\
                AhAD
                """
        ),
        InferMessageFixture(
            datatype: "UINT32",
            shape: [2, 2],
            raw: "/////7IccIMLdLmZAAAAAA==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBlVJTlQzMhoCAgIy\
                EP////+yHHCDC3S5mQAAAAA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKiMKAXgSBlVJTlQzMhoCAgIq\
                EiIQ/////w+yucCbCIvo5c0JAA==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo5CgF4EgZVSU5UMzIaAgICIhQK\
                DGNvbnRlbnRfdHlwZRIEGgJucCoSIhD/////D7K5wJsIi+jlzQkAMhkKAXkSFAoOY2xhc3NpZmlj\
                YXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "UINT32",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBlVJTlQzMhoCAAQy\
                AA==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhEKAXgSBlVJTlQzMhoCAAQq\
                AA==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASonCgF4EgZVSU5UMzIaAgAEIhQK\
                DGNvbnRlbnRfdHlwZRIEGgJucCoAMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "UINT32",
            shape: [],
            raw: "/////w==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgsKAXgSBlVJTlQzMjIE////\
                /w==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhQKAXgSBlVJTlQzMioHIgX/\
                ////Dw==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASoqCgF4EgZVSU5UMzIiFAoMY29u\
                dGVudF90eXBlEgQaAm5wKgciBf////8PMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "UINT64",
            shape: [3],
            raw: "AQAAAAAAAAD//////////wAAAAAAAAAA",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBlVJTlQ2NBoBAzIY\
                AQAAAAAAAAD//////////wAAAAAAAAAA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKh4KAXgSBlVJTlQ2NBoBAyoO\
                KgwB////////////AQA=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo0CgF4EgZVSU5UNjQaAQMiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKg4qDAH///////////8BADIZCgF5EhQKDmNsYXNzaWZpY2F0aW9u\
                EgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "UINT64",
            shape: [2, 2],
            raw: "AAAAAAAAAABzk+q0/mTsf3SfO3FviViT//////////8=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBlVJTlQ2NBoCAgIy\
                IAAAAAAAAAAAc5PqtP5k7H90nztxb4lYk///////////
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKjEKAXgSBlVJTlQ2NBoCAgIq\
                ICoeAPOmqqfrn5n2f/S+7on3raKskwH///////////8B
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASpHCgF4EgZVSU5UNjQaAgICIhQK\
                DGNvbnRlbnRfdHlwZRIEGgJucCogKh4A86aqp+ufmfZ/9L7uifetoqyTAf///////////wEyGQoB\
                eRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "UINT64",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBlVJTlQ2NBoCAAQy\
                AA==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhEKAXgSBlVJTlQ2NBoCAAQq\
                AA==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASonCgF4EgZVSU5UNjQaAgAEIhQK\
                DGNvbnRlbnRfdHlwZRIEGgJucCoAMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "UINT64",
            shape: [],
            raw: "AQAAAAAAAAA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgsKAXgSBlVJTlQ2NDIIAQAA\
                AAAAAAA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhAKAXgSBlVJTlQ2NCoDKgEB
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASomCgF4EgZVSU5UNjQiFAoMY29u\
                dGVudF90eXBlEgQaAm5wKgMqAQEyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "FP32",
            shape: [3],
            raw: "AAAAAAAAwD8AAIB/",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgwKAXgSBEZQMzIaAQMyDAAA\
                AAAAAMA/AACAfw==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhwKAXgSBEZQMzIaAQMqDjIM\
                AAAAAAAAwD8AAIB/
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASoyCgF4EgRGUDMyGgEDIhQKDGNv\
                bnRlbnRfdHlwZRIEGgJucCoOMgwAAAAAAADAPwAAgH8yGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhIC\
                EAM=
                """
        ),
        InferMessageFixture(
            datatype: "FP32",
            shape: [2, 2],
            raw: "AAAAAAAAgP8AAAAAAADAPw==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEZQMzIaAgICMhAA\
                AAAAAACA/wAAAAAAAMA/
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKiEKAXgSBEZQMzIaAgICKhIy\
                EAAAAAAAAID/AAAAAAAAwD8=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo3CgF4EgRGUDMyGgICAiIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqEjIQAAAAAAAAgP8AAAAAAADAPzIZCgF5EhQKDmNsYXNzaWZpY2F0\
                aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "FP32",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEZQMzIaAgAEMgA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBEZQMzIaAgAEKgA=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASolCgF4EgRGUDMyGgIABCIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqADIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "FP32",
            shape: [],
            raw: "AAAAAA==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgkKAXgSBEZQMzIyBAAAAAA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhEKAXgSBEZQMzIqBjIEAAAA\
                AA==
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASonCgF4EgRGUDMyIhQKDGNvbnRl\
                bnRfdHlwZRIEGgJucCoGMgQAAAAAMhkKAXkSFAoOY2xhc3NpZmljYXRpb24SAhAD
                """
        ),
        InferMessageFixture(
            datatype: "FP64",
            shape: [3],
            raw: "AAAAAAAAAAAAAAAAAADwfwAAAAAAAAAA",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgwKAXgSBEZQNjQaAQMyGAAA\
                AAAAAAAAAAAAAAAA8H8AAAAAAAAAAA==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKigKAXgSBEZQNjQaAQMqGjoY\
                AAAAAAAAAAAAAAAAAADwfwAAAAAAAAAA
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo+CgF4EgRGUDY0GgEDIhQKDGNv\
                bnRlbnRfdHlwZRIEGgJucCoaOhgAAAAAAAAAAAAAAAAAAPB/AAAAAAAAAAAyGQoBeRIUCg5jbGFz\
                c2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "FP64",
            shape: [2, 2],
            raw: "AAAAAAAA+D+wnQ83RtO9QAAAAAAAAPg/kKVWciX1mcA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEZQNjQaAgICMiAA\
                AAAAAAD4P7CdDzdG071AAAAAAAAA+D+QpVZyJfWZwA==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKjEKAXgSBEZQNjQaAgICKiI6\
                IAAAAAAAAPg/sJ0PN0bTvUAAAAAAAAD4P5ClVnIl9ZnA
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASpHCgF4EgRGUDY0GgICAiIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqIjogAAAAAAAA+D+wnQ83RtO9QAAAAAAAAPg/kKVWciX1mcAyGQoB\
                eRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "FP64",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEZQNjQaAgAEMgA=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg8KAXgSBEZQNjQaAgAEKgA=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASolCgF4EgRGUDY0GgIABCIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqADIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "FP64",
            shape: [],
            raw: "AAAAAAAA+D8=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgkKAXgSBEZQNjQyCAAAAAAA\
                APg/
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhUKAXgSBEZQNjQqCjoIAAAA\
                AAAA+D8=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASorCgF4EgRGUDY0IhQKDGNvbnRl\
                bnRfdHlwZRIEGgJucCoKOggAAAAAAAD4PzIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "FP16",
            shape: [3],
            raw: "APwAfAAA",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgwKAXgSBEZQMTYaAQMyBgD8\
                AHwAAA==
                """,
            typedResponse: "",
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASoiCgF4EgRGUDE2GgEDIhQKDGNv\
                bnRlbnRfdHlwZRIEGgJucDIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAzoGAPwAfAAA
                """
        ),
        InferMessageFixture(
            datatype: "FP16",
            shape: [2, 2],
            raw: "AAAAPuTqAAA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEZQMTYaAgICMggA\
                AAA+5OoAAA==
                """,
            typedResponse: "",
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASojCgF4EgRGUDE2GgICAiIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM6CAAAAD7k6gAA
                """
        ),
        InferMessageFixture(
            datatype: "FP16",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEZQMTYaAgAEMgA=
                """,
            typedResponse: "",
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASojCgF4EgRGUDE2GgIABCIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM6AA==
                """
        ),
        InferMessageFixture(
            datatype: "FP16",
            shape: [],
            raw: "dOI=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgkKAXgSBEZQMTYyAnTi
                """,
            typedResponse: "",
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASofCgF4EgRGUDE2IhQKDGNvbnRl\
                bnRfdHlwZRIEGgJucDIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAzoCdOI=
                """
        ),
        InferMessageFixture(
            datatype: "BF16",
            shape: [3],
            raw: "AAAAAMOO",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgwKAXgSBEJGMTYaAQMyBgAA\
                AADDjg==
                """,
            typedResponse: "",
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASoiCgF4EgRCRjE2GgEDIhQKDGNv\
                bnRlbnRfdHlwZRIEGgJucDIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAzoGAAAAAMOO
                """
        ),
        InferMessageFixture(
            datatype: "BF16",
            shape: [2, 2],
            raw: "AAAAAP//AQA=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEJGMTYaAgICMggA\
                AAAA//8BAA==
                """,
            typedResponse: "",
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASojCgF4EgRCRjE2GgICAiIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM6CAAAAAD//wEA
                """
        ),
        InferMessageFixture(
            datatype: "BF16",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBEJGMTYaAgAEMgA=
                """,
            typedResponse: "",
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASojCgF4EgRCRjE2GgIABCIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM6AA==
                """
        ),
        InferMessageFixture(
            datatype: "BF16",
            shape: [],
            raw: "//8=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgkKAXgSBEJGMTYyAv//
                """,
            typedResponse: "",
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASofCgF4EgRCRjE2IhQKDGNvbnRl\
                bnRfdHlwZRIEGgJucDIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAzoC//8=
                """
        ),
        InferMessageFixture(
            datatype: "BYTES",
            shape: [3],
            raw: """
                AAAAAAQAAADDpCIKOAAAAMjJysvMzc7P0NHS09TV1tfY2drb3N3e3+Dh4uPk5ebn6Onq6+zt7u/w\
                8fLz9PX29/j5+vv8/f7/
                """,
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg0KAXgSBUJZVEVTGgEDMkgA\
                AAAABAAAAMOkIgo4AAAAyMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f4OHi4+Tl5ufo6err7O3u7/Dx\
                8vP09fb3+Pn6+/z9/v8=
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKlEKAXgSBUJZVEVTGgEDKkJC\
                AEIEw6QiCkI4yMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f4OHi4+Tl5ufo6err7O3u7/Dx8vP09fb3\
                +Pn6+/z9/v8=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASpnCgF4EgVCWVRFUxoBAyIUCgxj\
                b250ZW50X3R5cGUSBBoCbnAqQkIAQgTDpCIKQjjIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj\
                5OXm5+jp6uvs7e7v8PHy8/T19vf4+fr7/P3+/zIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "BYTES",
            shape: [2, 2],
            raw: "BAAAAMOkIgoEAAAAw6QiCgQAAAB0ZXh0AAAAAA==",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBUJZVEVTGgICAjIc\
                BAAAAMOkIgoEAAAAw6QiCgQAAAB0ZXh0AAAAAA==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKiQKAXgSBUJZVEVTGgICAioU\
                QgTDpCIKQgTDpCIKQgR0ZXh0QgA=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASo6CgF4EgVCWVRFUxoCAgIiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKhRCBMOkIgpCBMOkIgpCBHRleHRCADIZCgF5EhQKDmNsYXNzaWZp\
                Y2F0aW9uEgIQAw==
                """
        ),
        InferMessageFixture(
            datatype: "BYTES",
            shape: [0, 4],
            raw: "",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKg4KAXgSBUJZVEVTGgIABDIA
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhAKAXgSBUJZVEVTGgIABCoA
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASomCgF4EgVCWVRFUxoCAAQiFAoM\
                Y29udGVudF90eXBlEgQaAm5wKgAyGQoBeRIUCg5jbGFzc2lmaWNhdGlvbhICEAM=
                """
        ),
        InferMessageFixture(
            datatype: "BYTES",
            shape: [],
            raw: "BAAAAMOkIgo=",
            rawResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKgoKAXgSBUJZVEVTMggEAAAA\
                w6QiCg==
                """,
            typedResponse: """
                CgFtEgEzGgNpLTciGgoLc2VxdWVuY2VfaWQSCxD7//////////8BKhIKAXgSBUJZVEVTKgZCBMOk\
                Igo=
                """,
            request: """
                CoIBbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1t\
                bW1tbW1tbW1tbW1tbW1tbW1tbRoCw6QiBwoBYRICCAEiEAoBYhILEP///////////wEiCAoBYxID\
                GgFzIg4KAWQSCSGamZmZmZm5PyIQCgFlEgso////////////ASooCgF4EgVCWVRFUyIUCgxjb250\
                ZW50X3R5cGUSBBoCbnAqBkIEw6QiCjIZCgF5EhQKDmNsYXNzaWZpY2F0aW9uEgIQAw==
                """
        ),
    ]
}
