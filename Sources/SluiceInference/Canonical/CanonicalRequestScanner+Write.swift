package import SluiceCore
import SluiceWire

// The canonical form of what was read; ``CanonicalRequest`` says what is in it and why.
extension CanonicalRequestScanner {
    /// Feeds the request that was read to a digest; false when the general reader must do it.
    ///
    /// After false the digest has been fed something, and is to be begun anew. `scratch` takes elements
    /// that didn't come as bytes.
    package mutating func write(
        _ context: KeyContext,
        scratch: inout ByteBuffer,
        into digest: (UnsafeRawBufferPointer) -> Void
    ) -> Bool {
        text.begin()
        unsafe context.forEachPart(.v2, version: version) { unsafe text.append($0, digest) }
        unsafe append(requestParameters, areRequests: true, digest)
        unsafe text.append(number: outputCount, digest)
        for index in 0..<outputCount {
            unsafe text.append(outputs[index].name, digest)
            // Outputs with parameters aren't read here.
            unsafe text.append(number: 0, digest)
        }
        unsafe text.append(number: inputCount, digest)
        for index in 0..<inputCount {
            guard unsafe append(inputs[order[index]], &scratch, digest) else { return false }
        }
        unsafe text.flush(digest)
        return true
    }

    private mutating func append(
        _ input: Input,
        _ scratch: inout ByteBuffer,
        _ digest: (UnsafeRawBufferPointer) -> Void
    ) -> Bool {
        guard let count = elementCount(input) else { return false }
        unsafe text.append(input.name, digest)
        unsafe text.append(input.typeName, digest)
        unsafe text.append(number: input.dimensions.count, digest)
        for index in input.dimensions { unsafe text.append(number: dimensions[index], digest) }
        unsafe append(input.parameters, areRequests: false, digest)
        do throws(InferenceFailure) {
            var data = unsafe input.data
            switch input.form {
            case .none: return false
            case .raw: break
            case .typed:
                let contents = unsafe TypedContents(input.data, input.datatype, of: "")
                if let place = try unsafe contents.inPlace {
                    unsafe data = place
                } else {
                    scratch.removeAll()
                    try contents.append(to: &scratch)
                    unsafe data = scratch.bytes
                }
            case .json:
                scratch.removeAll()
                guard append(json: input, count, to: &scratch) else { return false }
                unsafe data = scratch.bytes
            }
            guard unsafe holds(data, count, input.datatype) else { return false }
            unsafe text.append(data, digest)
            return true
        } catch {
            return false
        }
    }

    /// The product of the dimensions; nil for an impossible one.
    private func elementCount(_ input: Input) -> Int? {
        var count = 1
        for index in input.dimensions {
            let dimension = unsafe dimensions[index]
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard !overflow, dimension >= 0 else { return nil }
            count = product
        }
        return count < 1 << 48 ? count : nil
    }

    /// Whether `bytes` are exactly so many elements.
    private func holds(
        _ bytes: UnsafeRawBufferPointer,
        _ count: Int,
        _ datatype: DataType
    ) -> Bool {
        // No overflow: a count is below 2^48.
        if let size = datatype.size { return count &* size == bytes.count }
        var elements = unsafe BytesElements(bytes)
        var found = 0
        while unsafe elements.next() != nil { found &+= 1 }
        return elements.isComplete && found == count
    }

    private mutating func append(
        _ range: Range<Int>,
        areRequests: Bool,
        _ digest: (UnsafeRawBufferPointer) -> Void
    ) {
        var count = range.count
        if areRequests {
            for index in range where unsafe !affectsResult(parameters[index].name) { count -= 1 }
        }
        unsafe text.append(number: count, digest)
        for index in range {
            let parameter = unsafe parameters[index]
            if areRequests, unsafe !affectsResult(parameter.name) { continue }
            unsafe text.append(parameter.name, digest)
            unsafe text.append(byte: parameter.kind.rawValue, digest)
            switch parameter.kind {
            case .no, .yes: break
            case .int64, .uint64, .double: unsafe text.append(bits: parameter.bits, digest)
            case .string: unsafe text.append(parameter.text, digest)
            }
        }
    }

    /// As ``Cacheability`` has it; the others it names aren't read here.
    private func affectsResult(_ name: UnsafeRawBufferPointer) -> Bool {
        unsafe !name.equals("priority") && !name.equals("timeout")
    }
}
