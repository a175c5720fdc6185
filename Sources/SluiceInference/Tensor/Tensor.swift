package import SluiceCore

/// A tensor's elements in the form in which they came, borrowed from the message.
///
/// Little-endian bytes are the hub: every form becomes those, and those become every form.
@safe
package enum TensorData {
    /// None: they lie in shared memory that only caller and backend know.
    case absent
    /// Row-major, little-endian, no padding; BYTES elements each behind their length in four bytes
    /// (binary tensor extension; `raw_*_contents`).
    case raw(UnsafeRawBufferPointer)
    /// An InferTensorContents message.
    case typed(UnsafeRawBufferPointer)
    /// A JSON value, flat or nested, row-major.
    case json(UnsafeRawBufferPointer)
    /// As `raw`, in memory of its own.
    case owned([UInt8])
}

/// A named tensor.
///
/// Its data is borrowed: the message it was read from must stay where it is until the tensor has
/// been written or dropped.
package struct Tensor {
    package var name: String
    package var datatype: DataType
    /// Elements in each dimension; the product is the number of elements.
    package var shape: [Int]
    package var parameters = Parameters()
    package var data: TensorData

    /// A tensor.
    package init(name: String, datatype: DataType, shape: [Int], data: TensorData) {
        self.name = name
        self.datatype = datatype
        self.shape = shape
        self.data = data
    }

    /// Whether the data lies in shared memory (Triton, "Shared Memory Extension").
    package var isInSharedMemory: Bool { parameters["shared_memory_region"] != nil }

    /// The product of the shape's dimensions; throws for negative ones and overflow.
    package var elementCount: Int {
        get throws(InferenceFailure) {
            var count = 1
            var isImpossible = false
            for dimension in shape {
                let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
                isImpossible = isImpossible || overflow || dimension < 0
                count = product
            }
            // No element takes less than a bit, so what came can't hold more of them than this.
            guard !isImpossible, count < 1 << 56 else {
                throw InferenceFailure("tensor '\(name)' has an impossible shape \(shape)")
            }
            return count
        }
    }

    // MARK: - Little-endian bytes

    /// The elements as little-endian bytes, exactly as many as shape and datatype ask for.
    ///
    /// Bytes that came that way are returned where they lie, and so are FP32 and FP64 in
    /// InferTensorContents; everything else is written to `scratch` first, which is emptied before.
    /// The result is valid until `scratch` changes or the message goes away. Throws when the data
    /// isn't what shape and datatype promise.
    package func raw(
        _ scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind
    ) throws(InferenceFailure) -> UnsafeRawBufferPointer {
        switch data {
        case .absent: throw inSharedMemory
        case .raw(let bytes):
            try unsafe check(bytes)
            return unsafe bytes
        case .owned(let bytes):
            scratch.removeAll()
            scratch.append(bytes)
            try unsafe check(scratch.bytes)
            return unsafe scratch.bytes
        case .typed(let message):
            if let bytes = try unsafe TypedContents(message, datatype, of: name).inPlace {
                try unsafe check(bytes)
                return unsafe bytes
            }
            scratch.removeAll()
            try unsafe TypedContents(message, datatype, of: name).append(to: &scratch)
            try unsafe check(scratch.bytes)
            return unsafe scratch.bytes
        case .json(let text):
            scratch.removeAll()
            try unsafe TensorText(text, self, runtimeKind).append(self, to: &scratch)
            return unsafe scratch.bytes
        }
    }

    /// Throws unless `bytes` is exactly what shape and datatype ask for; cost: BYTES, one step each.
    func check(_ bytes: UnsafeRawBufferPointer) throws(InferenceFailure) {
        let count = try elementCount
        if let size = datatype.size {
            let (wanted, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow, wanted == bytes.count else {
                throw InferenceFailure(
                    "tensor '\(name)' has \(bytes.count) bytes where shape \(shape) of \(datatype.rawValue) takes \(wanted)"
                )
            }
            return
        }
        var elements = unsafe BytesElements(bytes)
        var found = 0
        while unsafe elements.next() != nil { found += 1 }
        guard elements.isComplete else {
            throw InferenceFailure(
                "tensor '\(name)' ends inside an element; each is 4 bytes of length, then so many bytes"
            )
        }
        guard found == count else {
            throw InferenceFailure(
                "tensor '\(name)' has \(found) elements where shape \(shape) takes \(count)"
            )
        }
    }

    var inSharedMemory: InferenceFailure {
        InferenceFailure(
            "tensor '\(name)' lies in shared memory, which the gateway can't read; send its data",
            .inexpressible
        )
    }
}

/// Walks the elements of BYTES: each four bytes of length, lowest first, and so many bytes.
@safe
package struct BytesElements {
    private let bytes: UnsafeRawBufferPointer
    /// Where the next element's length begins.
    private(set) var index = 0

    /// A walk over `bytes`, which must outlive it.
    package init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    /// Whether the walk ended with the bytes and not inside an element.
    package var isComplete: Bool { unsafe index == bytes.count }

    /// The next element, or nil at the end or where the bytes are broken.
    package mutating func next() -> UnsafeRawBufferPointer? {
        guard unsafe bytes.count - index >= 4 else { return nil }
        // In bounds by the line above.
        let length = unsafe Int(
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self))
        )
        guard unsafe length <= bytes.count - index - 4 else { return nil }
        let start = index + 4
        index = start + length
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<index])
    }
}
