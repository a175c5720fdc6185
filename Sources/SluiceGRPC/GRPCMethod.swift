private import SluiceCore

/// The gRPC methods the gateway knows by path.
package enum GRPCMethod: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case modelInfer, modelStreamInfer, modelReady, modelMetadata, modelConfig, modelStatistics
    case serverLive, serverReady, serverMetadata
    case repositoryIndex, repositoryModelLoad, repositoryModelUnload
    case healthCheck, healthWatch, healthList
    case reflection, reflectionAlpha
    /// A method of the inference service that names no model, or one of a service unknown here.
    case unknown

    /// The `:path`, as clients send it and logs show it.
    package var path: StaticString {
        switch self {
        case .modelInfer: "/inference.GRPCInferenceService/ModelInfer"
        case .modelStreamInfer: "/inference.GRPCInferenceService/ModelStreamInfer"
        case .modelReady: "/inference.GRPCInferenceService/ModelReady"
        case .modelMetadata: "/inference.GRPCInferenceService/ModelMetadata"
        case .modelConfig: "/inference.GRPCInferenceService/ModelConfig"
        case .modelStatistics: "/inference.GRPCInferenceService/ModelStatistics"
        case .serverLive: "/inference.GRPCInferenceService/ServerLive"
        case .serverReady: "/inference.GRPCInferenceService/ServerReady"
        case .serverMetadata: "/inference.GRPCInferenceService/ServerMetadata"
        case .repositoryIndex: "/inference.GRPCInferenceService/RepositoryIndex"
        case .repositoryModelLoad: "/inference.GRPCInferenceService/RepositoryModelLoad"
        case .repositoryModelUnload: "/inference.GRPCInferenceService/RepositoryModelUnload"
        case .healthCheck: "/grpc.health.v1.Health/Check"
        case .healthWatch: "/grpc.health.v1.Health/Watch"
        case .healthList: "/grpc.health.v1.Health/List"
        case .reflection: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        case .reflectionAlpha: "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        case .unknown: "-"
        }
    }

    /// Whether `path` is shaped like a gRPC method, known or not: `/package.Service/Method`.
    package static func isGRPC(_ path: UnsafeRawBufferPointer) -> Bool {
        unsafe ASCII.hasPrefix(path, "/inference.") || ASCII.hasPrefix(path, "/grpc.")
    }

    /// The method at `path`, or ``unknown``.
    package static func lookup(_ path: UnsafeRawBufferPointer) -> GRPCMethod {
        // The most frequent one first; the rest are told apart by length and bytes.
        for index in 0..<GRPCMethod.unknown.rawValue {
            guard let method = GRPCMethod(rawValue: index) else { break }
            let text = method.path
            if unsafe ASCII.equal(path, text) { return method }
        }
        return .unknown
    }

    /// The field that names the model in the request's message; nil when none does.
    package var modelField: Int? {
        switch self {
        case .modelInfer, .modelStreamInfer, .modelReady, .modelMetadata, .modelConfig,
            .modelStatistics:
            1
        case .repositoryModelLoad, .repositoryModelUnload: 2
        default: nil
        }
    }

    /// Whether the gateway answers it without a backend.
    package var isAnsweredHere: Bool {
        switch self {
        case .serverLive, .serverReady, .serverMetadata, .modelReady, .repositoryIndex,
            .healthCheck, .healthWatch, .healthList, .reflection, .reflectionAlpha:
            true
        default: false
        }
    }

    /// Whether requests or answers are streams of messages.
    package var isStreaming: Bool {
        switch self {
        case .modelStreamInfer, .healthWatch, .reflection, .reflectionAlpha: true
        default: false
        }
    }
}
