/// Whether an answer may be remembered, as far as the request itself can say.
///
/// What only the surroundings know stays with the gateway: `cache-control`, the answer's status and
/// size, and streams, which never come here. `priority` and `timeout` (Triton) change when an answer comes and not
/// which; they are left out of the key and don't stand in the cache's way.
package enum Cacheability: Equatable, Sendable {
    case cacheable
    /// Not to be looked up or stored; the reason is a word for logs and metrics.
    case bypass(Reason)

    /// Why a request goes past the cache.
    package enum Reason: String, Sendable, CaseIterable {
        /// It is one step of a stateful sequence (`sequence_id`, `sequence_start`, `sequence_end`).
        case sequence
        /// Its inputs, or where its outputs go, lie in memory that is not in the message.
        case sharedMemory = "shared-memory"
        /// It asks for the empty final response that only streams send.
        case stream
        /// It has members that aren't the protocol's: what they mean to the model isn't in its key.
        case unknownMember = "unknown-member"
    }

    /// What holds for a request.
    package init(_ request: InferenceRequest) {
        self = request.hasUnknownMembers ? .bypass(.unknownMember) : .cacheable
        for entry in request.parameters.entries {
            switch (entry.name, entry.value) {
            // Triton: 0 and "" are no sequence.
            case ("sequence_id", .int64(0)), ("sequence_id", .string("")): break
            case ("sequence_start", .bool(false)), ("sequence_end", .bool(false)): break
            case ("sequence_id", _), ("sequence_start", _), ("sequence_end", _):
                self = .bypass(.sequence)
            case ("triton_enable_empty_final_response", .bool(true)): self = .bypass(.stream)
            default: break
            }
        }
        if request.inputs.contains(where: \.isInSharedMemory)
            || request.outputs.contains(where: { $0.parameters["shared_memory_region"] != nil })
        {
            self = .bypass(.sharedMemory)
        }
    }

    /// Whether a request parameter can change the answer; those that can't aren't part of its key.
    static func affectsResult(_ parameter: String) -> Bool {
        switch parameter {
        case "priority", "timeout", "triton_enable_empty_final_response": false
        // No sequence, or Cacheability had said so.
        case "sequence_id", "sequence_start", "sequence_end": false
        default: true
        }
    }
}
