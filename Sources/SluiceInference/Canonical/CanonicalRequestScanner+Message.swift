import SluiceCore

// A ModelInferRequest; ``InferMessageReader`` is the general reader.
extension CanonicalRequestScanner {
    /// Reads a message, which must stay where it is until it has been written; false leaves it to the
    /// general reader.
    package mutating func read(message: UnsafeRawBufferPointer) -> Bool {
        begin(.grpc)
        var fields = unsafe FieldCursor(message)
        while fields.next() {
            switch fields.number {
            case 1:
                guard fields.isText else { return false }
                unsafe modelName = fields.bytes
            case 2:
                guard fields.isText else { return false }
                unsafe version = fields.bytes
            case 3:
                guard fields.isText else { return false }
                unsafe id = fields.bytes
            case 4:
                // A list lies in one piece, as serializers write it.
                if requestParameters.isEmpty {
                    requestParameters = parameterCount..<parameterCount
                }
                guard requestParameters.upperBound == parameterCount,
                    fields.wire == .bytes,
                    unsafe parameter(fields.bytes, from: requestParameters.lowerBound)
                else { return false }
                requestParameters = requestParameters.lowerBound..<parameterCount
            case 5:
                guard fields.wire == .bytes, unsafe input(fields.bytes) else { return false }
            case 6:
                guard fields.wire == .bytes, unsafe output(fields.bytes) else { return false }
            case 7:
                guard fields.wire == .bytes, rawCount < CanonicalRequestScanner.namedMaximum else {
                    return false
                }
                unsafe raws[rawCount] = fields.bytes
                rawCount += 1
            // Members that aren't the protocol's may mean anything.
            default: return false
            }
        }
        return !fields.isBroken && settle()
    }

    /// Gives each input its raw contents: all have them, or none.
    private mutating func settle() -> Bool {
        if rawCount > 0 {
            guard isRaw, rawCount == inputCount else { return false }
            for index in 0..<rawCount {
                unsafe inputs[index].form = .raw
                unsafe inputs[index].data = raws[index]
            }
        }
        return sort()
    }

    private mutating func input(_ message: UnsafeRawBufferPointer) -> Bool {
        guard inputCount < CanonicalRequestScanner.namedMaximum else { return false }
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var input = unsafe Input(name: nothing, typeName: nothing)
        let firstDimension = dimensionCount
        let firstParameter = parameterCount
        var fields = unsafe FieldCursor(message)
        while fields.next() {
            switch fields.number {
            case 1:
                guard fields.isText else { return false }
                unsafe input.name = fields.bytes
            case 2:
                guard fields.wire == .bytes else { return false }
                unsafe input.typeName = fields.bytes
            case 3: guard addDimensions(fields) else { return false }
            case 4:
                guard fields.wire == .bytes, unsafe parameter(fields.bytes, from: firstParameter)
                else { return false }
            case 5:
                guard fields.wire == .bytes, input.form == .none else { return false }
                input.form = .typed
                unsafe input.data = fields.bytes
                isRaw = false
            // Members that aren't the protocol's may mean anything.
            default: return false
            }
        }
        guard !fields.isBroken, let datatype = unsafe DataType(name: input.typeName) else {
            return false
        }
        input.datatype = datatype
        input.dimensions = firstDimension..<dimensionCount
        input.parameters = firstParameter..<parameterCount
        unsafe inputs[inputCount] = input
        inputCount += 1
        return true
    }

    /// Adds dimensions, packed or single.
    private mutating func addDimensions(_ field: FieldCursor) -> Bool {
        if field.wire == .varint { return add(dimension: Int(truncatingIfNeeded: field.bits)) }
        guard field.wire == .bytes else { return false }
        let packed = unsafe field.bytes
        var index = 0
        while index < packed.count {
            // Above seven bits they are read by the general reader's rules.
            var value: UInt64 = 0
            var shift: UInt64 = 0
            var byte: UInt8 = 0x80
            while byte >= 0x80 {
                guard index < packed.count, shift < 63 else { return false }
                byte = unsafe packed[index]
                value |= UInt64(byte & 0x7F) << shift
                shift += 7
                index += 1
            }
            guard add(dimension: Int(truncatingIfNeeded: value)) else { return false }
        }
        return true
    }

    /// Adds a dimension to the input that is being read.
    mutating func add(dimension: Int) -> Bool {
        guard dimensionCount < CanonicalRequestScanner.dimensionMaximum else { return false }
        unsafe dimensions[dimensionCount] = dimension
        dimensionCount += 1
        return true
    }

    private mutating func output(_ message: UnsafeRawBufferPointer) -> Bool {
        guard outputCount < CanonicalRequestScanner.namedMaximum else { return false }
        var output = unsafe Output(name: UnsafeRawBufferPointer(start: nil, count: 0))
        var fields = unsafe FieldCursor(message)
        while fields.next() {
            // Those with parameters (`classification`) are rare.
            guard fields.number == 1, fields.isText else { return false }
            unsafe output.name = fields.bytes
        }
        guard !fields.isBroken else { return false }
        unsafe outputs[outputCount] = output
        outputCount += 1
        return true
    }

    /// Reads one entry of a `map<string, InferParameter>`.
    private mutating func parameter(_ entry: UnsafeRawBufferPointer, from start: Int) -> Bool {
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var parameter = unsafe Parameter(name: nothing, kind: .no)
        var hasValue = false
        var fields = unsafe FieldCursor(entry)
        while fields.next() {
            if fields.number == 1 {
                guard fields.isText else { return false }
                unsafe parameter.name = fields.bytes
            }
            guard fields.number == 2 else { continue }
            guard fields.wire == .bytes else { return false }
            var choice = unsafe FieldCursor(fields.bytes)
            while choice.next() {
                switch (choice.number, choice.wire) {
                case (1, .varint): parameter.kind = choice.bits == 0 ? .no : .yes
                case (2, .varint): parameter.kind = .int64
                case (3, .bytes):
                    guard choice.isText else { return false }
                    parameter.kind = .string
                    unsafe parameter.text = choice.bytes
                case (4, .fixed64): parameter.kind = .double
                case (5, .varint):
                    parameter.kind = choice.bits > UInt64(Int64.max) ? .uint64 : .int64
                default: return false
                }
                parameter.bits = choice.bits
                hasValue = true
            }
            guard !choice.isBroken else { return false }
        }
        return unsafe !fields.isBroken && hasValue
            && !CanonicalRequestScanner.isSpecial(parameter.name)
            && add(parameter, from: start)
    }
}

extension FieldCursor {
    /// Whether the value is bytes, and those are ASCII: a string whatever else it may be.
    @inline(__always)
    fileprivate var isText: Bool { unsafe wire == .bytes && bytes.isASCII }
}

extension DataType {
    /// The datatype with a name of these bytes.
    init?(name: UnsafeRawBufferPointer) {
        guard name.count >= 4, name.count <= 6 else { return nil }
        var word: UInt64 = 0
        for index in 0..<name.count { unsafe word |= UInt64(name[index]) << UInt64(8 * index) }
        switch word {
        case 0x4C4F_4F42: self = .bool
        case 0x38_544E_4955: self = .uint8
        case 0x3631_544E_4955: self = .uint16
        case 0x3233_544E_4955: self = .uint32
        case 0x3436_544E_4955: self = .uint64
        case 0x3854_4E49: self = .int8
        case 0x36_3154_4E49: self = .int16
        case 0x32_3354_4E49: self = .int32
        case 0x34_3654_4E49: self = .int64
        case 0x3631_5046: self = .fp16
        case 0x3631_4642: self = .bf16
        case 0x3233_5046: self = .fp32
        case 0x3436_5046: self = .fp64
        case 0x53_4554_5942: self = .bytes
        default: return nil
        }
    }
}
