/// Which runtime a backend is: what it says differently from the others, where a gateway can help.
///
/// Facts are those of the runtimes' sources, August 2026. Without a setting the runtime itself is asked
/// (``ServerDescription``), and is `generic` until it has told, which keeps to what all of them read.
package enum RuntimeKind: String, Sendable, CaseIterable {
    /// NVIDIA Triton: binary tensors, `NaN` tokens, shared memory, all parameter kinds.
    case triton
    /// Seldon MLServer: strict JSON only; BYTES by `content_type`; typed and raw contents may mix.
    case mlserver
    /// KServe's python server: binary tensors, no versions in paths.
    case kserve
    /// TensorFlow Serving: V1 only, columns by name, `NaN` tokens, `{"b64": …}`.
    case tfserving
    /// The Open Inference Protocol without the binary tensor extension: tensors over REST are JSON.
    case v2json
    /// V1 over REST and nothing else, with rows as KServe has them.
    case v1
    /// Anything that speaks the Open Inference Protocol, ModelMesh's REST proxy among them.
    case generic

    /// How tensors go to this backend over V2 REST.
    package enum TensorForm: Sendable {
        /// Always behind the JSON, as bytes.
        case binary
        /// In the JSON, always: it knows no binary tensors.
        case json
        /// In the JSON, and as bytes what JSON can't say exactly: FP16, BF16, NaN, infinities and
        /// BYTES that aren't UTF-8.
        case jsonWherePossible
    }

    /// See ``TensorForm``.
    package var tensorForm: TensorForm {
        switch self {
        case .triton, .kserve: .binary
        case .mlserver, .tfserving, .v2json, .v1: .json
        case .generic: .jsonWherePossible
        }
    }

    /// Whether it reads the bare tokens `NaN`, `Infinity`, `-Infinity` in JSON.
    package var readsNaNTokens: Bool { self == .triton || self == .tfserving }

    /// Whether `null` among the elements of a floating-point tensor in JSON is NaN, both ways: MLServer
    /// writes and reads it so (its pull request 1346), and refuses the tokens.
    package var nullIsNaN: Bool { self == .mlserver }

    /// Whether `content_type: base64` on BYTES in JSON means that the strings are base64 of the
    /// elements (KServe's REST proxies).
    ///
    /// To MLServer it is an instruction for the model's own codec: strings stay as they are, over
    /// REST and gRPC alike.
    package var base64IsEncoding: Bool { self != .mlserver }

    /// Whether `raw_*_contents` may hold entries only for the tensors without `contents`.
    package var mixesRawAndTyped: Bool { self == .mlserver }

    /// Whether InferParameter has `double_param` and `uint64_param`; others skip those unread.
    package var hasWideParameters: Bool {
        self == .triton || self == .generic || self == .v2json
    }

    /// Whether it decodes REST bodies with a `content-encoding` of gzip or deflate.
    ///
    /// TensorFlow Serving and Triton do; MLServer and KServe's server hand the compressed bytes to their JSON readers.
    package var readsCodedBodies: Bool { ![.mlserver, .kserve, .v2json, .v1].contains(self) }

    /// Whether it takes tensors in shared memory.
    package var hasSharedMemory: Bool { self == .triton || self == .generic }

    /// Whether a path may name a version: KServe answers 501 to any that does.
    package var hasVersionedPaths: Bool { self != .kserve }

    /// Whether V1 `inputs` is another word for `instances`, rows and all, answered by `predictions`.
    package var v1InputsAreRows: Bool { self == .kserve || self == .v1 }

    /// Whether V1 `inputs` is an object of columns: so a request tells shapes that aren't rows.
    package var readsV1Columns: Bool { self == .tfserving }

    /// The REST path of a V2 inference; the names may hold anything, and `version` may be empty.
    package func inferPath(model: String, version: String) -> String {
        let path = "/v2/models/\(PathSegment.escaped(model))"
        return version.isEmpty || !hasVersionedPaths
            ? "\(path)/infer" : "\(path)/versions/\(PathSegment.escaped(version))/infer"
    }

    /// The REST path of a V1 prediction; the names may hold anything, and `version` may be empty.
    package static func predictPath(model: String, version: String) -> String {
        let path = "/v1/models/\(PathSegment.escaped(model))"
        return version.isEmpty
            ? "\(path):predict" : "\(path)/versions/\(PathSegment.escaped(version)):predict"
    }
}
