import SluiceCore
import SluiceWire

// Protobuf written straight into the buffer that goes out (Protocol Buffers, "Encoding").
extension ByteBuffer {
    /// Appends a number in base 128.
    mutating func append(varint value: UInt64) {
        // Ten bytes hold any number of 64 bits.
        let place = unsafe reserve(10)
        var rest = value
        var count = 0
        while rest >= 0x80 {
            unsafe place[count] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
            count += 1
        }
        unsafe place[count] = UInt8(truncatingIfNeeded: rest)
        commit(count + 1)
    }

    /// Appends an integer, enum or bool field.
    mutating func append(field: Int, varint value: UInt64) {
        append(varint: UInt64(field) << 3)
        append(varint: value)
    }

    /// Appends a string field, even if it is empty.
    mutating func append(field: Int, text: String) {
        append(varint: UInt64(field) << 3 | 2)
        append(varint: UInt64(text.utf8.count))
        append(text: text)
    }

    /// Appends a bytes field.
    mutating func append(field: Int, bytes: UnsafeRawBufferPointer) {
        append(varint: UInt64(field) << 3 | 2)
        append(varint: UInt64(bytes.count))
        unsafe append(bytes)
    }

    /// Begins a field whose length isn't known yet; what it returns goes to ``endField(_:)``.
    mutating func beginField(_ field: Int) -> Int {
        append(varint: UInt64(field) << 3 | 2)
        append(byte: 0)
        return count
    }

    /// Ends the field that began at `start`: its length goes in front of it.
    ///
    /// Serializers write lengths as short as they can, and so do we, since answers are compared byte
    /// for byte: content of 128 bytes and more moves up to make room.
    mutating func endField(_ start: Int) {
        let length = count - start
        var more = 0
        while length >> (7 * (more + 1)) > 0 { more += 1 }
        if more > 0 {
            _ = unsafe reserve(more)
            commit(more)
            // Both places lie in the buffer: `more` bytes were added behind the content.
            let content = unsafe place(at: start)
            unsafe UnsafeMutableRawPointer(content + more).copyMemory(
                from: content,
                byteCount: length
            )
        }
        let place = unsafe place(at: start - 1)
        for index in 0..<more {
            unsafe place[index] = UInt8(truncatingIfNeeded: length >> (7 * index)) | 0x80
        }
        unsafe place[more] = UInt8(truncatingIfNeeded: length >> (7 * more))
    }
}

extension WireField {
    /// A length-delimited value; other wire types are a failure that names `what`.
    func bytes(_ what: StaticString) throws(InferenceFailure) -> UnsafeRawBufferPointer {
        guard case .bytes(let bytes) = value else {
            throw InferenceFailure("\(what) has the wrong wire type (field \(number))")
        }
        return unsafe bytes
    }

    /// A string; protobuf's must be UTF-8, and one that isn't could name two things at once.
    func text(_ what: StaticString) throws(InferenceFailure) -> String {
        guard let text = try unsafe String(validating: bytes(what), as: UTF8.self) else {
            throw InferenceFailure("\(what) is not UTF-8")
        }
        return text
    }

    /// A number.
    func integer(_ what: StaticString) throws(InferenceFailure) -> UInt64 {
        guard case .varint(let number) = value else {
            throw InferenceFailure("\(what) has the wrong wire type (field \(self.number))")
        }
        return number
    }
}

extension WireReader {
    /// The next field, or nil at the end.
    mutating func next() throws(InferenceFailure) -> WireField? {
        do throws(WireFailure) {
            return try nextField()
        } catch {
            throw InferenceFailure(
                "the message is not protobuf: \(error.sentence) at byte \(error.offset)"
            )
        }
    }
}
