import SluiceCore
import Testing

/// None of what answers from memory are put together of may be another request's.
///
/// It is known already: messages read ahead, requests known by heart, heads that a connection has sent.
@Suite("Hits of many callers over configurations that change")
struct HitTests {
    private static func choice(_ random: inout RandomSource) -> [[Int]] {
        HitScene.models.map { _ in
            let order = HitScene.revisions.indices.map { ($0, random.next()) }
                .sorted { $0.1 < $1.1 }.map(\.0)
            return Array(order.prefix(1 + random.next(below: order.count)))
        }
    }

    private static func text(_ character: Character, _ random: inout RandomSource) -> String {
        String(repeating: character, count: [1, 8, 36, 36, 36, 100][random.next(below: 6)])
    }

    @Test(
        "Each answer is its own request's: revision, tensors, id and identifier",
        arguments: 0..<6 as Range<UInt64>
    )
    func mixtures(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let clientCount = 3
        let scene = try HitScene(clientCount: clientCount)
        var chosen = Self.choice(&random)
        scene.publish(chosen)
        var askedCount = 0
        for _ in 0..<150 {
            var questions: [HitScene.CacheableRequest] = []
            var words = [[UInt8]](repeating: [], count: clientCount)
            for client in 0..<clientCount {
                for _ in 0..<random.next(below: 4) {
                    // Few inputs of one length: what is known of one lies where another's bytes lay.
                    let input = [UInt8](repeating: UInt8(random.next(below: 3)), count: 4)
                    questions.append(
                        try scene.ask(
                            by: client,
                            random.next(below: HitScene.models.count),
                            input,
                            id: Self.text("q", &random),
                            requestID: random.next(below: 4) == 0 ? nil : Self.text("r", &random)
                        )
                    )
                }
                words[client] = scene.words(of: client)
            }
            // Whole, or in pieces between which the others speak.
            while let client = words.indices.filter({ !words[$0].isEmpty }).randomElement(
                using: &random
            ) {
                let count = words[client].count
                let fragment = random.next(below: 2) == 0 ? count : 1 + random.next(below: count)
                try scene.say(Array(words[client].prefix(fragment)), by: client)
                words[client].removeFirst(fragment)
                if !words[client].isEmpty, random.next(below: 12) == 0 {
                    // It leaves in the middle of a word.
                    try scene.replace(client)
                    words[client] = []
                    questions.removeAll { $0.client == client }
                }
            }
            try scene.hear(questions)
            for question in questions { #expect(scene.complaint(question, chosen) == nil) }
            askedCount += questions.count
            if random.next(below: 10) == 0 {
                chosen = Self.choice(&random)
                scene.publish(chosen)
            }
        }
        #expect(scene.hits > askedCount * 3 / 4)
        #expect(try scene.close() == [])
    }

    /// A scene whose only client has asked often enough to be answered by the names of blocks.
    private static func warmScene() throws -> HitScene {
        let scene = try HitScene(clientCount: 1)
        scene.publish([[0], [0]])
        for _ in 0..<4 { try Self.ask(scene) }
        #expect(scene.hits == 3)
        return scene
    }

    /// Asks, and lets something happen before the last byte of the question is said.
    private static func ask(_ scene: HitScene, _ meanwhile: () throws -> Void = {}) throws {
        let question = try scene.ask(by: 0, 0, [1, 2, 3], id: "q", requestID: "r")
        let words = scene.words(of: 0)
        try scene.say(Array(words.dropLast()), by: 0)
        try meanwhile()
        try scene.say(Array(words.suffix(1)), by: 0)
        try scene.hear([question])
        #expect(scene.complaint(question, [[0], [0]]) == nil)
    }

    @Test("A connection is idle from its last hit on, and no earlier")
    func idle() throws {
        let scene = try Self.warmScene()
        try scene.pass(.seconds(40))
        try Self.ask(scene)
        try scene.pass(.seconds(55))
        #expect(!scene.isOver(0))
        try scene.pass(.seconds(10))
        #expect(scene.isOver(0))
        #expect(try scene.close() == [])
    }

    @Test("A hit that was asked for before the end is answered, and then the connection ends")
    func draining() throws {
        let scene = try Self.warmScene()
        try Self.ask(scene) {
            try scene.drain(isFinal: false)
            try scene.drain(isFinal: true)
            try scene.pass(.milliseconds(50))
            #expect(!scene.isOver(0))
        }
        try scene.pass(.milliseconds(50))
        #expect(scene.isOver(0))
        #expect(try scene.close() == [])
    }
}
