import SluiceCore
import SluiceWire

// A V2 body: JSON, perhaps with tensors as bytes behind it; ``InferJSONReader`` is the general reader.
extension CanonicalRequestScanner {
    /// Reads a body, which must stay where it is until it has been written; false leaves it to the
    /// general reader.
    ///
    /// `version` is the path's.
    package mutating func read(
        body: UnsafeRawBufferPointer,
        headerLength: Int?,
        version: UnsafeRawBufferPointer
    ) -> Bool {
        begin(.v2)
        let length = headerLength ?? body.count
        guard length >= 0, length <= body.count, unsafe version.isASCII else { return false }
        unsafe self.version = version
        var binary = unsafe UnsafeRawBufferPointer(rebasing: body[length...])
        let json = unsafe UnsafeRawBufferPointer(rebasing: body[..<length])
        do throws(JSONFailure) {
            return unsafe try read(json, &binary, hasBinary: headerLength != nil)
                && binary.isEmpty && sort()
        } catch {
            return false
        }
    }

    /// Members that an object had: of one that repeats the general reader knows what to say.
    private struct Members {
        private var bits: UInt8 = 0

        mutating func insert(_ bit: UInt8) -> Bool {
            let isNew = bits & 1 << bit == 0
            bits |= 1 << bit
            return isNew
        }

        func contains(_ bit: UInt8) -> Bool { bits & 1 << bit != 0 }
    }

    private mutating func read(
        _ json: UnsafeRawBufferPointer,
        _ binary: inout UnsafeRawBufferPointer,
        hasBinary: Bool
    ) throws(JSONFailure) -> Bool {
        var cursor = unsafe JSONCursor(json)
        var found = Members()
        try cursor.enterObject()
        while let name = try cursor.nextMember() {
            guard name.isPlain else { return false }
            switch name {
            case "inputs":
                guard found.insert(0) else { return false }
                try cursor.enterArray()
                while try cursor.nextElement() {
                    guard unsafe try input(&cursor, &binary, hasBinary: hasBinary) else {
                        return false
                    }
                }
            case "id":
                guard found.insert(1), let text = unsafe try text(&cursor) else { return false }
                unsafe id = text
            case "parameters":
                guard found.insert(2), try requestParameters(&cursor) else { return false }
            case "outputs":
                guard found.insert(3) else { return false }
                try cursor.enterArray()
                while try cursor.nextElement() {
                    guard try output(&cursor) else { return false }
                }
            case "model_name", "model_version": _ = try cursor.string()
            // Members that aren't the protocol's may mean anything.
            default: return false
            }
        }
        try cursor.finish()
        return found.contains(0)
    }

    /// A string that lies there as it is meant, and is ASCII.
    private func text(_ cursor: inout JSONCursor) throws(JSONFailure) -> UnsafeRawBufferPointer? {
        let text = try cursor.string()
        return unsafe text.isPlain && text.raw.isASCII ? text.raw : nil
    }

    private mutating func requestParameters(
        _ cursor: inout JSONCursor
    ) throws(JSONFailure) -> Bool {
        let start = parameterCount
        try cursor.enterObject()
        while let name = try cursor.nextMember() {
            if name.equals("binary_data_output") {
                guard try cursor.peek() == .bool else { return false }
                // Of a repeated name the last counts, here as there.
                prefersBinary = try cursor.bool()
                continue
            }
            guard try parameter(name, &cursor, from: start) else { return false }
        }
        requestParameters = start..<parameterCount
        return true
    }

    private mutating func parameter(
        _ name: JSONString,
        _ cursor: inout JSONCursor,
        from start: Int
    ) throws(JSONFailure) -> Bool {
        guard name.isPlain, unsafe name.raw.isASCII,
            unsafe !CanonicalRequestScanner.isSpecial(name.raw)
        else {
            return false
        }
        var parameter = unsafe Parameter(name: name.raw, kind: .no)
        switch try cursor.peek() {
        case .bool: parameter.kind = try cursor.bool() ? .yes : .no
        case .string:
            guard let text = unsafe try text(&cursor) else { return false }
            parameter.kind = .string
            unsafe parameter.text = text
        case .number:
            let number = try cursor.number()
            if let whole = number.int64 {
                parameter.kind = .int64
                parameter.bits = UInt64(bitPattern: whole)
            } else if let whole = number.uint64 {
                parameter.kind = .uint64
                parameter.bits = whole
            } else if let fraction = number.double {
                parameter.kind = .double
                parameter.bits = fraction.bitPattern
            } else {
                return false
            }
        default: return false
        }
        return add(parameter, from: start)
    }

    private mutating func output(_ cursor: inout JSONCursor) throws(JSONFailure) -> Bool {
        guard outputCount < CanonicalRequestScanner.namedMaximum else { return false }
        var output = unsafe Output(name: UnsafeRawBufferPointer(start: nil, count: 0))
        var found = Members()
        try cursor.enterObject()
        while let name = try cursor.nextMember() {
            guard name.isPlain else { return false }
            switch name {
            case "name":
                guard found.insert(0), let text = unsafe try text(&cursor) else { return false }
                unsafe output.name = text
            case "parameters":
                guard found.insert(1) else { return false }
                try cursor.enterObject()
                while let name = try cursor.nextMember() {
                    // Others (`classification`) are rare.
                    guard name.equals("binary_data"), try cursor.peek() == .bool else {
                        return false
                    }
                    output.isBinary = try cursor.bool()
                }
            // Members that aren't the protocol's may mean anything.
            default: return false
            }
        }
        guard found.contains(0) else { return false }
        unsafe outputs[outputCount] = output
        outputCount += 1
        return true
    }

    private mutating func input(
        _ cursor: inout JSONCursor,
        _ binary: inout UnsafeRawBufferPointer,
        hasBinary: Bool
    ) throws(JSONFailure) -> Bool {
        guard inputCount < CanonicalRequestScanner.namedMaximum else { return false }
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var input = unsafe Input(name: nothing, typeName: nothing)
        let firstDimension = dimensionCount
        let firstParameter = parameterCount
        var size: Int?
        var found = Members()
        try cursor.enterObject()
        while let name = try cursor.nextMember() {
            guard name.isPlain else { return false }
            switch name {
            case "name":
                guard found.insert(0), let text = unsafe try text(&cursor) else { return false }
                unsafe input.name = text
            case "datatype":
                guard found.insert(1), let text = unsafe try text(&cursor) else { return false }
                unsafe input.typeName = text
            case "shape":
                guard found.insert(2) else { return false }
                try cursor.enterArray()
                while try cursor.nextElement() {
                    guard let dimension = try cursor.number().int64, add(dimension: Int(dimension))
                    else { return false }
                }
            case "parameters":
                guard found.insert(3),
                    try inputParameters(&cursor, from: firstParameter, &size)
                else { return false }
            case "data":
                guard found.insert(4) else { return false }
                // Brackets are matched now; what is between them is read when it is written.
                unsafe input.data = try cursor.skim()
                input.form = .json
            // Members that aren't the protocol's may mean anything.
            default: return false
            }
        }
        guard found.contains(0), found.contains(1), found.contains(2),
            let datatype = unsafe DataType(name: input.typeName)
        else { return false }
        if let size {
            guard hasBinary, input.form == .none, size >= 0, size <= binary.count else {
                return false
            }
            input.form = .raw
            unsafe input.data = UnsafeRawBufferPointer(rebasing: binary[..<size])
            unsafe binary = UnsafeRawBufferPointer(rebasing: binary[size...])
        } else if input.form == .none {
            return false
        }
        input.datatype = datatype
        input.dimensions = firstDimension..<dimensionCount
        input.parameters = firstParameter..<parameterCount
        // It may say that strings are base64.
        if datatype == .bytes, input.form == .json, !input.parameters.isEmpty { return false }
        unsafe inputs[inputCount] = input
        inputCount += 1
        return true
    }

    private mutating func inputParameters(
        _ cursor: inout JSONCursor,
        from start: Int,
        _ size: inout Int?
    ) throws(JSONFailure) -> Bool {
        try cursor.enterObject()
        while let name = try cursor.nextMember() {
            if name.equals("binary_data_size") {
                guard try cursor.peek() == .number, let count = try cursor.number().int64 else {
                    return false
                }
                size = Int(count)
                continue
            }
            guard try parameter(name, &cursor, from: start) else { return false }
        }
        return true
    }

    // MARK: - Elements

    /// Appends an input's elements, of which there are `count`, as little-endian bytes.
    func append(json input: Input, _ count: Int, to output: inout ByteBuffer) -> Bool {
        var cursor = unsafe JSONCursor(input.data)
        do throws(JSONFailure) {
            guard let type = input.datatype.numberType else {
                return try strings(&cursor, count, to: &output)
            }
            // A number takes a byte of text at least.
            guard unsafe count <= input.data.count else { return false }
            let room = count * type.size
            let place = unsafe UnsafeMutableRawBufferPointer(
                start: output.reserve(max(room, 1)),
                count: room
            )
            let shape = unsafe try cursor.numbers(type, into: place)
            output.commit(room)
            try cursor.finish()
            guard shape.count == count else { return false }
            // Flat, or nested as the shape says.
            if shape.rank <= 1 || count == 0 { return true }
            guard shape.rank == input.dimensions.count else { return false }
            for level in 0..<shape.rank
            where unsafe shape[level] != dimensions[input.dimensions.lowerBound + level] {
                return false
            }
            return true
        } catch {
            return false
        }
    }

    /// Appends a flat array of strings, each behind its length.
    private func strings(
        _ cursor: inout JSONCursor,
        _ count: Int,
        to output: inout ByteBuffer
    ) throws(JSONFailure) -> Bool {
        var found = 0
        try cursor.enterArray()
        while try cursor.nextElement() {
            guard try cursor.peek() == .string else { return false }
            let string = try cursor.string()
            // An unescaped string is no longer than its text.
            let place = unsafe output.reserve(4 + string.raw.count)
            let length = unsafe string.unescape(to: place + 4)
            unsafe UnsafeMutableRawPointer(place).storeBytes(
                of: UInt32(truncatingIfNeeded: length).littleEndian,
                as: UInt32.self
            )
            output.commit(4 + length)
            found += 1
        }
        try cursor.finish()
        return found == count
    }
}
