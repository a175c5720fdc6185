import SluiceCore
import Testing

@Suite("XXH64")
struct XXH64Tests {
    @Test(
        "The hash is XXH64, as the library of its author computes it",
        arguments: [
            (0, 0xEF46_DB37_51D8_E999, 0xC434_9FC9_3C01_0000),
            (1, 0xF592_C0C7_639C_4CB6, 0x3F7E_BBD0_A20F_83CC),
            (3, 0x22C0_8528_601D_4F27, 0xB829_B5FB_BA7F_12FB),
            (4, 0xFB1E_5CF2_F1AE_4D95, 0x4D32_E4C8_42C6_371E),
            (7, 0x5613_AC51_0496_C04E, 0x5663_14BF_1BDA_8AAB),
            (8, 0x57CB_2B75_21F3_E21A, 0x696E_1FE0_E0DF_37F4),
            (15, 0x90A9_714E_B00E_8D29, 0x1706_9DD5_19D9_0D9D),
            (31, 0xE4A0_E629_E519_A4AE, 0xA348_B910_BC65_B7BD),
            (32, 0xCC6B_8AAA_DA79_0B2D, 0x41C2_EADA_450D_18F0),
            (33, 0x35EC_4985_0475_A832, 0xB6F8_C0B7_6AF8_F9DA),
            (63, 0xBF9F_0BA3_CF95_B28A, 0xDCFE_3172_0304_F52B),
            (64, 0x155C_CCE4_BF32_BEFC, 0x4779_D2A2_6A50_85A9),
            (100, 0x4826_E367_566E_A023, 0xE384_91A6_DAEB_0E8A),
            (256, 0x43C9_2F09_CB3E_28CF, 0xB883_A9A2_9D66_EAAF),
        ] as [(Int, UInt64, UInt64)]
    )
    func hash(count: Int, plain: UInt64, seeded: UInt64) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) }
        unsafe bytes.withUnsafeBytes {
            #expect(unsafe XXH64.hash($0, seed: 0) == plain)
            #expect(unsafe XXH64.hash($0, seed: 0x9E37_79B9_7F4A_7C15) == seeded)
        }
    }
}
