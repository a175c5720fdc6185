package import SluiceCore

/// A request cut along dimension 0 into rows, each with a key of its own.
///
/// A V1 request is cut where its `instances` are separated, without reading a number. A V2 request is
/// cut through every input, which all must have the same dimension 0: the operator who asks for rows
/// says that the model treats rows one by one. Rows are borrowed from the request's body.
package struct TensorRows {
    @safe
    private enum Source {
        case v1(V1Request, [UnsafeRawBufferPointer])
        /// For each input where its rows lie in its bytes, and the bytes, if they had to be made.
        case v2(InferenceRequest, [Column])
    }

    @safe
    private struct Column {
        /// Row r is `places[r]..<places[r + 1]`.
        var places: [Int] = [0]
        let data: TensorData

        func withBytes(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Void) {
            switch data {
            case .raw(let bytes): unsafe body(UnsafeRawBufferPointer(rebasing: bytes[range]))
            case .owned(let bytes):
                unsafe bytes.withUnsafeBytes {
                    unsafe body(UnsafeRawBufferPointer(rebasing: $0[range]))
                }
            case .absent, .typed, .json: break
            }
        }

        func bytes(_ range: Range<Int>) -> TensorData {
            switch data {
            case .raw(let bytes): unsafe .raw(unsafe UnsafeRawBufferPointer(rebasing: bytes[range]))
            case .owned(let bytes): .owned(Array(bytes[range]))
            case .absent, .typed, .json: .absent
            }
        }
    }

    private let source: Source

    /// How many rows there are, at least one.
    package let count: Int

    /// Cuts a V1 request that goes on as V1; throws unless it has `instances`.
    package init(_ request: V1Request) throws(InferenceFailure) {
        guard request.isInstances else {
            throw InferenceFailure(
                "'inputs' are columns, which can't be cut into rows; send 'instances'",
                .inexpressible
            )
        }
        let instances = unsafe try request.instances
        count = unsafe instances.count
        source = unsafe .v1(request, instances)
        guard count > 0 else { throw InferenceFailure("there are no instances") }
    }

    /// Cuts a V2 request; throws unless all inputs have the same number of rows.
    package init(
        _ request: InferenceRequest,
        _ runtimeKind: RuntimeKind,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) {
        guard let rows = request.inputs.first?.shape.first, rows > 0,
            request.inputs.allSatisfy({ $0.shape.first == rows })
        else {
            throw InferenceFailure(
                "the inputs don't all have the same number of rows",
                .inexpressible
            )
        }
        count = rows
        var columns: [Column] = []
        for input in request.inputs {
            let raw = try unsafe input.raw(&scratch, runtimeKind)
            var column: Column
            if case .raw = input.data {
                column = Column(data: input.data)
            } else {
                column = Column(data: .owned(unsafe [UInt8](raw)))
            }
            // Rows of [n, 0] would be n nothings: n is bounded by what came only if rows have bytes.
            guard raw.count > 0 else {
                throw InferenceFailure(
                    "input '\(input.name)' has rows without bytes",
                    .inexpressible
                )
            }
            column.places.reserveCapacity(rows + 1)
            var place = 0
            for _ in 0..<rows {
                _ = unsafe input.row(of: raw, &place)
                column.places.append(place)
            }
            columns.append(column)
        }
        source = .v2(request, columns)
    }

    // MARK: - Keys

    /// Feeds what each row means to a digest, one after the other; `finish` is called behind each.
    ///
    /// A V2 row means what the request of that one row means, byte for byte of ``CanonicalRequest``; a
    /// V1 row has a domain of its own. Throws where what all rows share is so much that to digest it for
    /// each would cost more than the request.
    package func writeKeys(
        _ context: KeyContext,
        scratch: inout ByteBuffer,
        into digest: (UnsafeRawBufferPointer) -> Void,
        finish: () -> Void
    ) throws(InferenceFailure) {
        switch source {
        case .v1(let request, let instances):
            let around = TensorRows.around(request, context, &scratch)
            try unsafe checkShared(around.before.count + around.after.count, request.body.count)
            for index in unsafe instances.indices {
                scratch.removeAll()
                unsafe scratch.append(compact: instances[index])
                unsafe around.before.withUnsafeBytes { unsafe digest($0) }
                unsafe TensorRows.write(scratch.bytes, digest)
                unsafe around.after.withUnsafeBytes { unsafe digest($0) }
                finish()
            }
        case .v2(let request, let columns):
            var single = request
            for index in single.inputs.indices { single.inputs[index].shape[0] = 1 }
            var head = CanonicalBytes(single, context)
            let order = single.inputs.indices.sorted {
                single.inputs[$0].name < single.inputs[$1].name
            }
            let heads = order.map {
                head.append(headOf: single.inputs[$0])
                return head.take()
            }
            let byteCount = columns.reduce(0) { $0 + ($1.places.last ?? 0) }
            try checkShared(heads.reduce(0) { $0 + $1.count }, byteCount)
            for row in 0..<count {
                for (place, index) in order.enumerated() {
                    unsafe heads[place].withUnsafeBytes { unsafe digest($0) }
                    let column = columns[index]
                    unsafe column.withBytes(column.places[row]..<column.places[row + 1]) {
                        unsafe TensorRows.write($0, digest)
                    }
                }
                finish()
            }
        }
    }

    private func checkShared(_ shared: Int, _ whole: Int) throws(InferenceFailure) {
        guard RowAnswer.isWorthRepeating(shared, rows: count, of: whole) else {
            throw InferenceFailure(
                "there is too much beside the rows to ask for each",
                .inexpressible
            )
        }
    }

    /// What a V1 row's canonical text has before the instance and behind it.
    private static func around(
        _ request: V1Request,
        _ context: KeyContext,
        _ scratch: inout ByteBuffer
    ) -> (before: [UInt8], after: [UInt8]) {
        var head = unsafe CanonicalBytes(.v1Row, context, version: context.version)
        var before: [UInt8] = []
        head.append(count: request.members.count)
        for member in request.members.sorted(by: { $0.name < $1.name }) {
            head.append(member.name)
            if unsafe member.value.baseAddress == request.data.baseAddress {
                before = head.take()
                continue
            }
            scratch.removeAll()
            unsafe scratch.append(compact: member.value)
            unsafe head.append(bytes: scratch.bytes)
        }
        return (before, head.take())
    }

    /// Feeds bytes behind their count, as ``CanonicalRequest`` frames them.
    private static func write(
        _ bytes: UnsafeRawBufferPointer,
        _ digest: (UnsafeRawBufferPointer) -> Void
    ) {
        unsafe withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { unsafe digest($0) }
        unsafe digest(bytes)
    }

    // MARK: - Calls

    /// The V2 request for some rows, in order; everything else is the caller's.
    ///
    /// Rows that are neighbours are borrowed, others are gathered; rows ascend. Not for V1.
    package func request(_ rows: [Int]) -> InferenceRequest {
        guard case .v2(var request, let columns) = source else {
            preconditionFailure("V1 rows make a body, not a tensor request")
        }
        guard let first = rows.first, let last = rows.last else {
            preconditionFailure("a call has at least one row")
        }
        let areNeighbours = last - first == rows.count - 1
        for index in request.inputs.indices {
            let column = columns[index]
            request.inputs[index].shape[0] = rows.count
            if areNeighbours {
                request.inputs[index].data = column.bytes(
                    column.places[first]..<column.places[last + 1]
                )
                continue
            }
            var gathered: [UInt8] = []
            for row in rows {
                switch column.bytes(column.places[row]..<column.places[row + 1]) {
                case .raw(let bytes): unsafe gathered.append(contentsOf: bytes)
                case .owned(let bytes): gathered += bytes
                case .absent, .typed, .json: break
                }
            }
            request.inputs[index].data = .owned(gathered)
        }
        return request
    }

    /// Appends the V1 body for some rows: the caller's own, with only these instances in it.
    package func writeV1(_ rows: [Int], to output: inout ByteBuffer) {
        guard case .v1(let request, let instances) = source,
            let body = unsafe request.body.baseAddress, let data = unsafe request.data.baseAddress
        else { preconditionFailure("V2 rows make a request, not a V1 body") }
        // The data is a slice of the body.
        let start = unsafe data - body
        unsafe output.append(UnsafeRawBufferPointer(rebasing: request.body[..<start]))
        output.append(byte: UInt8(ascii: "["))
        for (index, row) in rows.enumerated() {
            if index > 0 { output.append(byte: ASCII.comma) }
            unsafe output.append(instances[row])
        }
        output.append(byte: UInt8(ascii: "]"))
        unsafe output.append(
            UnsafeRawBufferPointer(rebasing: request.body[(start + request.data.count)...])
        )
    }

    /// Appends the V2 body for some rows: the caller's own text and bytes, but for the others; returns
    /// the JSON's length.
    ///
    /// Throws for text whose rows can't be told apart.
    package static func writeV2(
        _ rows: [Int],
        of body: UnsafeRawBufferPointer,
        headerLength: Int?,
        count: Int,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) -> Int {
        unsafe try RowText(body, headerLength, count, .inputs).write(rows, to: &output)
    }
}
