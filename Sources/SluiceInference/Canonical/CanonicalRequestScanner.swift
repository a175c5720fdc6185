import SluiceCore

// The general readers make of a request what translation needs: arrays of tensors, names as strings,
// failures as sentences. For a key none of that is wanted. 40,000 instructions of reading and
// digesting a small request were mostly arrays, strings and reference counts; this takes a tenth.
//
// Here the message is walked once where it lies. What matters of it is noted in rooms that are made
// once for each worker, and goes from there straight into the digest:
//
//    message or body ──read──► inputs, outputs, parameters (borrowed places) ──write──► digest
//
// What is rare (long lists, names that aren't ASCII, parameters that decide about the cache, whatever
// is wrong) isn't read here: ``CanonicalRequestScanner`` says no, and the general reader has the word. So a yes
// must mean what the general reader would have said, bit for bit; `CanonicalRequestScannerTests` holds them
// together over random and broken requests of every form and datatype.

/// What of a V2 request its key is made of, found in place; its rooms are used again and again.
///
/// Read a request, then write it, while its bytes stay where they are.
@safe
package struct CanonicalRequestScanner: ~Copyable {
    /// Inputs, and outputs asked for, at most.
    package static let namedMaximum = 32
    /// Parameters of request and inputs, at most.
    package static let parameterMaximum = 64
    /// Dimensions of all inputs, at most.
    package static let dimensionMaximum = 256

    /// A name and its value, both borrowed.
    @safe
    struct Parameter: BitwiseCopyable {
        /// As the canonical form numbers them; a flag is its own number.
        enum Kind: UInt8 { case no, yes, int64, uint64, double, string }
        var name: UnsafeRawBufferPointer
        var kind: Kind
        var bits: UInt64 = 0
        var text = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Where an input's elements are, and in which form.
    enum APIForm { case none, raw, typed, json }

    @safe
    struct Input {
        var name: UnsafeRawBufferPointer
        var typeName: UnsafeRawBufferPointer
        var datatype = DataType.bytes
        var dimensions = 0..<0
        var parameters = 0..<0
        var form = APIForm.none
        var data = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    @safe
    struct Output {
        var name: UnsafeRawBufferPointer
        var isBinary: Bool?
    }

    // The rooms are this struct's own until deinit; each is indexed below its maximum, which is
    // compared before something is added.
    let inputs = UnsafeMutablePointer<Input>.allocate(capacity: namedMaximum)
    let outputs = UnsafeMutablePointer<Output>.allocate(capacity: namedMaximum)
    let raws = UnsafeMutablePointer<UnsafeRawBufferPointer>.allocate(capacity: namedMaximum)
    let order = UnsafeMutablePointer<Int>.allocate(capacity: namedMaximum)
    let parameters = UnsafeMutablePointer<Parameter>.allocate(capacity: parameterMaximum)
    let dimensions = UnsafeMutablePointer<Int>.allocate(capacity: dimensionMaximum)
    var text: CanonicalText
    var inputCount = 0
    var outputCount = 0
    var rawCount = 0
    var parameterCount = 0
    var dimensionCount = 0
    /// The request's own parameters.
    var requestParameters = 0..<0
    var modelName: UnsafeRawBufferPointer
    var version: UnsafeRawBufferPointer
    private var form = ResponseFormat.APIForm.grpc
    /// Whether REST wants outputs as binary data unless they say otherwise.
    var prefersBinary = false

    /// The caller's own identifier, borrowed from the request; empty if there is none.
    package internal(set) var id: UnsafeRawBufferPointer
    /// Whether a gRPC caller sent no typed contents.
    package internal(set) var isRaw = true

    /// Empty rooms.
    package init() {
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        text = CanonicalText()
        unsafe (modelName, version, id) = (nothing, nothing, nothing)
    }

    deinit {
        unsafe inputs.deallocate()
        unsafe outputs.deallocate()
        unsafe raws.deallocate()
        unsafe order.deallocate()
        unsafe parameters.deallocate()
        unsafe dimensions.deallocate()
    }

    /// Forgets the request before.
    mutating func begin(_ form: ResponseFormat.APIForm) {
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        self.form = form
        (inputCount, outputCount, rawCount, parameterCount, dimensionCount) = (0, 0, 0, 0, 0)
        requestParameters = 0..<0
        (isRaw, prefersBinary) = (true, false)
        unsafe (modelName, version, id) = (nothing, nothing, nothing)
    }

    /// What the answer must know of the request that was read, in memory of its own.
    package var responseFormat: ResponseFormat {
        var responseFormat = ResponseFormat(form)
        responseFormat.modelName =
            unsafe form == .grpc ? String(decoding: modelName, as: UTF8.self) : ""
        responseFormat.id = unsafe String(decoding: id, as: UTF8.self)
        responseFormat.isRaw = isRaw
        responseFormat.prefersBinary = prefersBinary
        for index in 0..<outputCount {
            var output = RequestedOutput(
                name: unsafe String(decoding: outputs[index].name, as: UTF8.self)
            )
            output.isBinary = unsafe outputs[index].isBinary
            responseFormat.outputs.append(output)
        }
        return responseFormat
    }

    // MARK: - Taking notes

    /// Adds one to the parameters from `start` on, which stay sorted by name; false when there is no
    /// room, or one of that name already.
    mutating func add(_ parameter: Parameter, from start: Int) -> Bool {
        guard parameterCount < CanonicalRequestScanner.parameterMaximum else { return false }
        var place = parameterCount
        while place > start {
            let order = unsafe compare(parameter.name, parameters[place - 1].name)
            if order == 0 { return false }
            if order > 0 { break }
            unsafe parameters[place] = parameters[place - 1]
            place -= 1
        }
        unsafe parameters[place] = parameter
        parameterCount += 1
        return true
    }

    /// Whether it is one whose meaning isn't only its value; those are for the general reader.
    static func isSpecial(_ name: UnsafeRawBufferPointer) -> Bool {
        switch name.count {
        case 11: unsafe name.equals("sequence_id") || name.equals("binary_data")
        case 12: unsafe name.equals("sequence_end")
        case 14: unsafe name.equals("sequence_start")
        case 16: unsafe name.equals("binary_data_size")
        case 18: unsafe name.equals("binary_data_output")
        case 20: unsafe name.equals("shared_memory_region")
        case 34: unsafe name.equals("triton_enable_empty_final_response")
        default: false
        }
    }

    /// Sorts the inputs by name; false when two have the same, inputs or outputs.
    mutating func sort() -> Bool {
        for index in 0..<inputCount {
            var place = index
            while place > 0 {
                let order = unsafe compare(inputs[index].name, inputs[self.order[place - 1]].name)
                if order == 0 { return false }
                if order > 0 { break }
                unsafe self.order[place] = self.order[place - 1]
                place -= 1
            }
            unsafe order[place] = index
        }
        for index in 0..<outputCount {
            for other in 0..<index
            where unsafe compare(outputs[index].name, outputs[other].name) == 0 { return false }
        }
        return true
    }

    /// Below, at or above zero, as the first is before, equal to or behind the second, byte by byte:
    /// for ASCII, the order of strings.
    private func compare(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Int {
        let count = min(first.count, second.count)
        for index in 0..<count {
            let difference = unsafe Int(first[index]) - Int(second[index])
            if difference != 0 { return difference }
        }
        return first.count - second.count
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these are the bytes of `text`.
    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount, let base = baseAddress else {
            return count == text.utf8CodeUnitCount
        }
        return unsafe ShortBytes.equal(base, text.utf8Start, count: count)
    }

    /// Whether no byte is above 0x7F.
    var isASCII: Bool {
        var index = 0
        var high: UInt64 = 0
        while index &+ 8 <= count {
            high |= unsafe loadUnaligned(fromByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        while index < count {
            high |= unsafe UInt64(self[index])
            index &+= 1
        }
        return high & 0x8080_8080_8080_8080 == 0
    }
}
