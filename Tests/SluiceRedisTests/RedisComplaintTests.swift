import SluiceRedis
import Testing

@Suite("What Redis complains of")
struct RedisComplaintTests {
    @Test(
        "An error's code is its reason",
        arguments: [
            ("WRONGPASS invalid username-password pair or user is disabled.", .password),
            ("NOAUTH Authentication required.", .password), ("ERR invalid password", .password),
            (
                "ERR AUTH <password> called without any password configured for the default user.",
                .password
            ),
            ("ERR DB index is out of range", .database), ("ERR invalid DB index", .database),
            ("LOADING Redis is loading the dataset in memory", .loading),
            ("NOPERM User u has no permissions to run the 'set' command", .noperm),
            ("READONLY You can't write against a read only replica.", .readonly),
            ("OOM command not allowed when used memory > 'maxmemory'.", .oom),
            ("MISCONF Redis is configured to save RDB snapshots", .misconf),
            ("MASTERDOWN Link with MASTER is down", .replication),
            ("NOREPLICAS Not enough good replicas to write.", .replication),
            ("MOVED 3999 127.0.0.1:6381", .cluster), ("CLUSTERDOWN Hash slot not served", .cluster),
            ("CROSSSLOT Keys in request don't hash to the same slot", .cluster),
            ("ERR SELECT is not allowed in cluster mode", .cluster), ("ERR no", .other),
            ("", .other),
        ] as [(String, RedisReason)]
    )
    func reasons(text: String, reason: RedisReason) {
        let complaint = RedisComplaint(error: text, secret: nil)
        #expect(complaint.reason == reason)
        #expect(complaint.words.hasPrefix(text))
        #expect(complaint.words.contains("Redis Cluster isn't spoken") == (reason == .cluster))
    }

    @Test("Words are one line, bounded, and without what opens it")
    func words() {
        let long = RedisComplaint(
            error: "ERR a\r\nb\u{7}" + String(repeating: "é", count: 5000),
            secret: nil
        )
        #expect(long.words.utf8.count <= 200 && long.words.hasPrefix("ERR a  b "))
        let echoes = [
            "ERR unknown command 'AUTH', with args beginning with: 'hunter2' ", "ERR hunter2?",
            "ERR see redis://u:hunter2@h",
        ]
        for text in echoes {
            #expect(!RedisComplaint(error: text, secret: "hunter2").words.contains("hunter2"))
        }
        #expect(
            !RedisComplaint(error: echoes[0], secret: nil).words.contains("hunter2")
        )
        #expect(RedisComplaint(.refused("NOAUTH x"), secret: nil).reason == .password)
        #expect(RedisComplaint(.stalled, secret: nil).reason == .silent)
    }
}
