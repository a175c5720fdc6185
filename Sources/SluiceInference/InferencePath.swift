import SluiceCore

/// What a REST path asks for (V1: TF Serving and KServe; V2: Open Inference Protocol with Triton's
/// extensions).
///
/// Reading allocates nothing: the model's and version's names are ranges of the path.
package struct InferencePath: Sendable {
    /// The operations, each with the path template that logs show.
    package enum Operation: UInt8, BitwiseCopyable, Sendable, CaseIterable {
        case v1Live, v1List, v1Status, v1Metadata, v1Predict, v1Explain, v1Classify, v1Regress
        case v2Server, v2Live, v2Ready, v2List, v2Model, v2ModelReady, v2Infer, v2Config, v2Stats
        case v2Generate, v2GenerateStream, v2InferStream
        case v2RepositoryIndex, v2RepositoryLoad, v2RepositoryUnload
        /// A path nobody here knows.
        case unknown

        /// Whether the path belongs to the V1 protocol.
        package var isV1: Bool { rawValue <= Operation.v1Regress.rawValue }

        /// The path with names in braces, for logs and metrics.
        package var template: StaticString {
            switch self {
            case .v1Live: "/"
            case .v1List: "/v1/models"
            case .v1Status: "/v1/models/{m}"
            case .v1Metadata: "/v1/models/{m}/metadata"
            case .v1Predict: "/v1/models/{m}:predict"
            case .v1Explain: "/v1/models/{m}:explain"
            case .v1Classify: "/v1/models/{m}:classify"
            case .v1Regress: "/v1/models/{m}:regress"
            case .v2Server: "/v2"
            case .v2Live: "/v2/health/live"
            case .v2Ready: "/v2/health/ready"
            case .v2List: "/v2/models"
            case .v2Model: "/v2/models/{m}"
            case .v2ModelReady: "/v2/models/{m}/ready"
            case .v2Infer: "/v2/models/{m}/infer"
            case .v2Config: "/v2/models/{m}/config"
            case .v2Stats: "/v2/models/{m}/stats"
            case .v2Generate: "/v2/models/{m}/generate"
            case .v2GenerateStream: "/v2/models/{m}/generate_stream"
            case .v2InferStream: "/v2/models/{m}/infer_stream"
            case .v2RepositoryIndex: "/v2/repository/index"
            case .v2RepositoryLoad: "/v2/repository/models/{m}/load"
            case .v2RepositoryUnload: "/v2/repository/models/{m}/unload"
            case .unknown: "-"
            }
        }

        /// The method the operation takes; `GET` also admits `HEAD`.
        package var method: StaticString {
            switch self {
            case .v1Live, .v1List, .v1Status, .v1Metadata, .v2Server, .v2Live, .v2Ready, .v2List,
                .v2Model,
                .v2ModelReady, .v2Config, .v2Stats, .unknown:
                "GET"
            default: "POST"
            }
        }

        /// Whether it asks a model to compute something.
        package var isPrediction: Bool {
            switch self {
            case .v1Predict, .v1Explain, .v1Classify, .v1Regress, .v2Infer, .v2Generate,
                .v2GenerateStream, .v2InferStream:
                true
            default: false
            }
        }
    }

    package private(set) var operation = Operation.unknown
    /// Where the model's name stands in the path; empty when it names none.
    package private(set) var model = 0..<0
    /// Where the version or label stands; empty when it names none.
    package private(set) var version = 0..<0
    /// Bytes before the protocol's own path (`/serving/{namespace}/{name}`), to be dropped.
    package private(set) var prefixLength = 0

    /// Reads an origin-form target; a query is ignored.
    ///
    /// Paths with escapes go through ``normalized(_:)`` first. The names found may still have escapes:
    /// ``name(_:)`` says what they stand for.
    package init(_ path: UnsafeRawBufferPointer) {
        var end = path.count
        if let query = unsafe path.firstIndex(of: UInt8(ascii: "?")) { end = query }
        // A trailing slash is the same path.
        if unsafe end > 1 && path[end - 1] == ASCII.slash { end -= 1 }
        var segments = InlineArray<12, Range<Int>>(repeating: 0..<0)
        var count = 0
        var start = 1
        while start <= end, count < 12 {
            var stop = start
            while stop < end, unsafe path[stop] != ASCII.slash { stop += 1 }
            segments[count] = start..<stop
            count += 1
            start = stop + 1
        }
        guard start > end else { return }
        var first = 0
        // KServe's path template puts two names before the protocol's path.
        if count >= 4, unsafe InferencePath.equal(path, segments[0], "serving") {
            prefixLength = segments[2].upperBound
            first = 3
        }
        guard count > first else { return }
        if unsafe count == 1 && segments[0].isEmpty && path[0] == ASCII.slash {
            operation = .v1Live
        } else if unsafe InferencePath.equal(path, segments[first], "v1") {
            unsafe readV1(path, segments, first + 1, count)
        } else if unsafe InferencePath.equal(path, segments[first], "v2") {
            unsafe readV2(path, segments, first + 1, count)
        }
    }

    /// A target in the one form that is routed by and sent on.
    ///
    /// In its path, escapes of characters that need none are resolved (`%3A` for the colon), all others
    /// stay (RFC 3986 §6.2.2). Its query is the caller's, and stays byte for byte.
    ///
    /// Nil for paths that name no model: with broken escapes, escaped control characters or slashes, or
    /// with escaped dot segments.
    package static func normalized(_ target: UnsafeRawBufferPointer) -> [UInt8]? {
        let end = unsafe target.firstIndex(of: UInt8(ascii: "?")) ?? target.count
        var result: [UInt8] = []
        result.reserveCapacity(target.count)
        var segment = 0
        var isResolved = false
        var index = 0
        while index < end {
            let byte = unsafe target[index]
            index += 1
            if byte == ASCII.slash {
                if isResolved, PathSegment.isDots(result[segment...]) { return nil }
                isResolved = false
                segment = result.count + 1
            }
            guard byte == ASCII.percent else {
                result.append(byte)
                continue
            }
            guard let value = unsafe escape(target, at: index, end), value >= 0x20,
                value != ASCII.slash, value != 0x7F
            else { return nil }
            index += 2
            isResolved = true
            PathSegment.append(value, to: &result)
        }
        if isResolved, PathSegment.isDots(result[segment...]) { return nil }
        unsafe result.append(contentsOf: target[end...])
        return result
    }

    /// What the two digits at `index` stand for; nil when they are none.
    private static func escape(
        _ text: UnsafeRawBufferPointer,
        at index: Int,
        _ end: Int
    ) -> UInt8? {
        guard index + 1 < end, let high = unsafe ASCII.hexadecimalValue(text[index]),
            let low = unsafe ASCII.hexadecimalValue(text[index + 1])
        else { return nil }
        return high << 4 | low
    }

    /// The name that a segment stands for; escapes that are broken stay as they are.
    package static func name(_ segment: UnsafeRawBufferPointer) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < segment.count {
            let byte = unsafe segment[index]
            index += 1
            if byte == ASCII.percent,
                let value = unsafe escape(segment, at: index, segment.count)
            {
                result.append(value)
                index += 2
            } else {
                result.append(byte)
            }
        }
        return result
    }

    // MARK: - Grammar

    private mutating func readV1(
        _ path: UnsafeRawBufferPointer,
        _ segments: InlineArray<12, Range<Int>>,
        _ first: Int,
        _ count: Int
    ) {
        guard count > first, unsafe InferencePath.equal(path, segments[first], "models") else {
            return
        }
        guard count > first + 1 else {
            operation = .v1List
            return
        }
        // models/{m}[/versions/{v}|/labels/{l}][/metadata], the last name perhaps with `:verb`.
        let last = segments[count - 1]
        var verb = 0..<0
        if let colon = unsafe path[last].lastIndex(of: ASCII.colon) {
            verb = (colon + 1)..<last.upperBound
            segmentsEnd = colon
        } else {
            segmentsEnd = last.upperBound
        }
        model = segments[first + 1]
        var next = first + 2
        if count >= next + 2,
            unsafe InferencePath.equal(path, segments[next], "versions")
                || InferencePath.equal(path, segments[next], "labels")
        {
            version = segments[next + 1]
            next += 2
        }
        let isLast = count == next
        if isLast {
            if version.isEmpty {
                model = model.lowerBound..<segmentsEnd
            } else {
                version = version.lowerBound..<segmentsEnd
            }
        }
        guard !model.isEmpty else { return }
        if verb.isEmpty {
            if isLast {
                operation = .v1Status
            } else if count == next + 1,
                unsafe InferencePath.equal(path, segments[next], "metadata")
            {
                operation = .v1Metadata
            }
        } else if isLast {
            if unsafe InferencePath.equal(path, verb, "predict") {
                operation = .v1Predict
            } else if unsafe InferencePath.equal(path, verb, "explain") {
                operation = .v1Explain
            } else if unsafe InferencePath.equal(path, verb, "classify") {
                operation = .v1Classify
            } else if unsafe InferencePath.equal(path, verb, "regress") {
                operation = .v1Regress
            }
        }
    }

    private var segmentsEnd = 0

    private mutating func readV2(
        _ path: UnsafeRawBufferPointer,
        _ segments: InlineArray<12, Range<Int>>,
        _ first: Int,
        _ count: Int
    ) {
        guard count > first else {
            operation = .v2Server
            return
        }
        if unsafe InferencePath.equal(path, segments[first], "health") {
            guard count == first + 2 else { return }
            if unsafe InferencePath.equal(path, segments[first + 1], "live") {
                operation = .v2Live
            } else if unsafe InferencePath.equal(path, segments[first + 1], "ready") {
                operation = .v2Ready
            }
            return
        }
        if unsafe InferencePath.equal(path, segments[first], "repository") {
            unsafe readRepository(path, segments, first + 1, count)
            return
        }
        guard unsafe InferencePath.equal(path, segments[first], "models") else { return }
        guard count > first + 1 else {
            operation = .v2List
            return
        }
        model = segments[first + 1]
        guard !model.isEmpty else { return }
        var next = first + 2
        if count >= next + 2, unsafe InferencePath.equal(path, segments[next], "versions") {
            version = segments[next + 1]
            next += 2
        }
        guard count > next else {
            operation = .v2Model
            return
        }
        guard count == next + 1 else { return }
        operation = unsafe InferencePath.modelOperation(path, segments[next])
    }

    private mutating func readRepository(
        _ path: UnsafeRawBufferPointer,
        _ segments: InlineArray<12, Range<Int>>,
        _ first: Int,
        _ count: Int
    ) {
        if count == first + 1, unsafe InferencePath.equal(path, segments[first], "index") {
            operation = .v2RepositoryIndex
            return
        }
        guard count == first + 3, unsafe InferencePath.equal(path, segments[first], "models") else {
            return
        }
        model = segments[first + 1]
        if unsafe InferencePath.equal(path, segments[first + 2], "load") {
            operation = .v2RepositoryLoad
        } else if unsafe InferencePath.equal(path, segments[first + 2], "unload") {
            operation = .v2RepositoryUnload
        }
    }

    private static func modelOperation(
        _ path: UnsafeRawBufferPointer,
        _ segment: Range<Int>
    ) -> Operation {
        if unsafe equal(path, segment, "infer") { return .v2Infer }
        if unsafe equal(path, segment, "ready") { return .v2ModelReady }
        if unsafe equal(path, segment, "config") { return .v2Config }
        if unsafe equal(path, segment, "stats") { return .v2Stats }
        if unsafe equal(path, segment, "generate") { return .v2Generate }
        if unsafe equal(path, segment, "generate_stream") { return .v2GenerateStream }
        if unsafe equal(path, segment, "infer_stream") { return .v2InferStream }
        return .unknown
    }

    private static func equal(
        _ path: UnsafeRawBufferPointer,
        _ range: Range<Int>,
        _ text: StaticString
    ) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        let expected = unsafe text.utf8Start
        for offset in 0..<range.count
        where unsafe path[range.lowerBound + offset] != expected[offset] { return false }
        return true
    }
}
