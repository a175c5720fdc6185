import SluiceGateway
import SluiceInference
import Testing

@Suite("What backends have in common")
struct RuntimeSlotTests {
    @Test("Backends of different kinds are told what all of them read")
    func common() {
        let slot = RuntimeSlot()
        #expect(slot.runtime == nil)
        #expect(slot.note(Runtime(.mlserver), of: "a"))
        #expect(slot.runtime == Runtime(.mlserver))
        // The same again is no news.
        #expect(!slot.note(Runtime(.mlserver), of: "b"))
        // A replica that reads binary tensors as well reads JSON, too.
        #expect(slot.note(Runtime(.triton), of: "b"))
        #expect(slot.runtime == Runtime(.v2json))
        #expect(slot.note(Runtime(.kserve), of: "a"))
        #expect(slot.runtime == Runtime(.generic, speaksV1: false, speaksV2: true))
        // Where nothing suits all, requests pass as they came.
        #expect(slot.note(Runtime(.tfserving), of: "a"))
        #expect(slot.runtime == Runtime(.generic))
        #expect(Runtime(.tfserving).common(with: Runtime(.v1)) == Runtime(.v1))
        // What left says nothing any more; what is known of the last holds until another tells.
        slot.keepOnly(["b"])
        #expect(slot.runtime == Runtime(.triton))
        slot.keepOnly([])
        #expect(slot.runtime == Runtime(.triton))
        #expect(slot.note(Runtime(.mlserver), of: "c"))
        #expect(slot.runtime == Runtime(.mlserver))
    }

    @Test("A version in the path goes along to V1")
    func versions() {
        #expect(RuntimeKind.predictPath(model: "m 1", version: "") == "/v1/models/m%201:predict")
        #expect(
            RuntimeKind.predictPath(model: "m", version: "3") == "/v1/models/m/versions/3:predict"
        )
    }
}
