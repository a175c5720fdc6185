import SluiceCore
import SluiceWire

/// A JSON message as its text with holes: an answer, to be kept by rows (``RowRecord``), or a request,
/// to be sent for some of its rows.
@safe
struct RowText {
    /// What the rows are of.
    enum Whose {
        /// A V1 answer.
        case predictions
        /// A V2 answer.
        case outputs
        /// A V2 request.
        case inputs
    }

    enum Hole: UInt8 {
        case rows = 1
        case rowCount
        case binarySize
        case id
        case end
    }

    /// Where a hole is in the text.
    private struct Mark {
        let range: Range<Int>
        let hole: Hole
    }

    private let text: UnsafeRawBufferPointer
    private var binary: UnsafeRawBufferPointer
    private let rows: Int
    private var marks: [Mark] = []
    private var separators: [[UInt8]?] = []
    /// The rows of each list, then of each binary output.
    private var columns: [[UnsafeRawBufferPointer]] = unsafe []
    private var binaryColumns: [[UnsafeRawBufferPointer]] = unsafe []
    private let whose: Whose
    /// The answer's `id`, if it has one.
    let id: String

    /// Finds the holes; throws when there is no reading of the text as `rows` rows.
    init(
        _ body: UnsafeRawBufferPointer,
        _ headerLength: Int?,
        _ rows: Int,
        _ whose: Whose
    ) throws(InferenceFailure) {
        let length = headerLength ?? body.count
        guard length >= 0, length <= body.count else {
            throw RowAnswer.refused("its JSON's length is wrong")
        }
        unsafe text = UnsafeRawBufferPointer(rebasing: body[..<length])
        unsafe binary = UnsafeRawBufferPointer(rebasing: body[length...])
        self.rows = rows
        self.whose = whose
        let tensors: [Tensor]
        switch whose {
        case .predictions: (tensors, id) = ([], "")
        case .outputs:
            let response = try unsafe InferenceResponse(json: body, headerLength: headerLength)
            (tensors, id) = (response.outputs, response.id)
        case .inputs:
            tensors = try unsafe InferenceRequest(json: body, headerLength: headerLength).inputs
            // It goes on with the request.
            id = ""
        }
        do throws(JSONFailure) {
            var cursor = unsafe JSONCursor(text)
            try cursor.enterObject()
            while let name = try cursor.nextMember() {
                if whose == .predictions, name.equals("predictions") {
                    unsafe try list(unsafe cursor.skip(), perRow: 1)
                } else if whose == .outputs, !id.isEmpty, name.equals("id") {
                    unsafe mark(try cursor.skip(), .id)
                } else if whose == .outputs && name.equals("outputs")
                    || whose == .inputs && name.equals("inputs")
                {
                    var index = 0
                    try cursor.enterArray()
                    while try cursor.nextElement() {
                        guard index < tensors.count else {
                            throw cursor.failure("a tensor too many")
                        }
                        try tensor(&cursor, tensors[index])
                        index += 1
                    }
                } else {
                    unsafe try cursor.skip()
                }
            }
            try cursor.finish()
        } catch {
            throw RowAnswer.refused("\(error.sentence) (byte \(error.offset))")
        }
        guard unsafe !columns.isEmpty || !binaryColumns.isEmpty else {
            throw RowAnswer.refused("it has no rows")
        }
        unsafe columns.append(contentsOf: unsafe binaryColumns)
    }

    // MARK: - Cutting

    private mutating func mark(_ slice: UnsafeRawBufferPointer, _ hole: Hole) {
        guard let start = slice.baseAddress, let base = unsafe text.baseAddress else { return }
        // The slice was handed out by a cursor over the text.
        let offset = unsafe start - base
        marks.append(Mark(range: offset..<(offset + slice.count), hole: hole))
    }

    private mutating func tensor(_ cursor: inout JSONCursor, _ tensor: Tensor) throws(JSONFailure) {
        guard tensor.shape.first == rows else {
            throw cursor.failure(
                "tensor '\(tensor.name)' has shape \(tensor.shape), not \(rows) rows"
            )
        }
        try cursor.enterObject()
        while let name = try cursor.nextMember() {
            switch name {
            case "shape":
                try cursor.enterArray()
                var isFirst = true
                while try cursor.nextElement() {
                    let dimension = unsafe try cursor.skip()
                    if isFirst { unsafe mark(dimension, .rowCount) }
                    isFirst = false
                }
            case "parameters":
                guard try cursor.peek() == .object else {
                    unsafe try cursor.skip()
                    continue
                }
                try cursor.enterObject()
                while let name = try cursor.nextMember() {
                    let value = unsafe try cursor.skip()
                    if name.equals("binary_data_size") { unsafe mark(value, .binarySize) }
                }
            case "data":
                unsafe try list(unsafe cursor.skip(), perRow: tensor.shape.dropFirst().reduce(1, *))
            default: unsafe try cursor.skip()
            }
        }
        guard case .raw(let bytes) = tensor.data else { return }
        var place = 0
        var found: [UnsafeRawBufferPointer] = unsafe []
        for _ in 0..<rows { unsafe found.append(tensor.row(of: bytes, &place)) }
        unsafe binaryColumns.append(found)
    }

    /// Cuts a list into rows: one element each, or, flat, `perRow` elements each.
    private mutating func list(_ list: UnsafeRawBufferPointer, perRow: Int) throws(JSONFailure) {
        var elements: [UnsafeRawBufferPointer] = unsafe []
        var cursor = unsafe JSONCursor(list)
        try cursor.enterArray()
        while try cursor.nextElement() { unsafe elements.append(try cursor.skip()) }
        var size = 1
        if unsafe elements.count != rows {
            guard perRow > 0, unsafe elements.count == rows * perRow else {
                throw cursor.failure("a list has \(unsafe elements.count) entries for \(rows) rows")
            }
            size = perRow
        }
        var found: [UnsafeRawBufferPointer] = unsafe []
        for row in 0..<rows {
            unsafe found.append(RowText.span(elements[row * size], elements[row * size + size - 1]))
        }
        var separator: [UInt8]?
        for row in 1..<max(rows, 1) {
            let between = unsafe [UInt8](RowText.gap(found[row - 1], found[row]))
            // A request's rows are joined by commas.
            guard separator == nil || separator == between || whose == .inputs else {
                throw cursor.failure("rows are separated differently")
            }
            separator = between
        }
        separators.append(separator)
        unsafe mark(RowText.span(found[0], found[rows - 1]), .rows)
        unsafe columns.append(found)
    }

    /// From the beginning of one slice to the end of another behind it, in the same text.
    private static func span(
        _ first: UnsafeRawBufferPointer,
        _ last: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        guard let start = first.baseAddress, let end = last.baseAddress else {
            return unsafe first
        }
        return unsafe UnsafeRawBufferPointer(start: start, count: end - start + last.count)
    }

    /// What stands between two slices of the same text.
    private static func gap(
        _ first: UnsafeRawBufferPointer,
        _ next: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        guard let start = first.baseAddress, let end = next.baseAddress else {
            return unsafe first
        }
        return unsafe UnsafeRawBufferPointer(
            start: start + first.count,
            count: end - start - first.count
        )
    }

    // MARK: - Writing

    /// Appends the text with some of its rows only, and the bytes behind it; returns the text's length.
    func write(_ chosen: [Int], to output: inout ByteBuffer) -> Int {
        let start = output.count
        let lists = separators.count
        var (place, list, size) = (0, 0, lists)
        for mark in marks {
            unsafe output.append(
                UnsafeRawBufferPointer(rebasing: text[place..<mark.range.lowerBound])
            )
            switch mark.hole {
            case .rows:
                for (index, row) in chosen.enumerated() {
                    if index > 0 { output.append(byte: ASCII.comma) }
                    unsafe output.append(columns[list][row])
                }
                list += 1
            case .rowCount: output.append(decimal: chosen.count)
            case .binarySize:
                output.append(decimal: chosen.reduce(0) { unsafe $0 + columns[size][$1].count })
                size += 1
            case .id, .end: break
            }
            place = mark.range.upperBound
        }
        unsafe output.append(UnsafeRawBufferPointer(rebasing: text[place...]))
        let length = output.count - start
        for column in unsafe lists..<columns.count {
            for row in chosen { unsafe output.append(columns[column][row]) }
        }
        return length
    }

    /// One record for each row.
    func records(style: UInt32) throws(InferenceFailure) -> [[UInt8]] {
        var template: [UInt8] = []
        var place = 0
        for mark in marks {
            unsafe template.append(
                fragment: UnsafeRawBufferPointer(rebasing: text[place..<mark.range.lowerBound])
            )
            template.append(mark.hole.rawValue)
            place = mark.range.upperBound
        }
        unsafe template.append(fragment: UnsafeRawBufferPointer(rebasing: text[place...]))
        template.append(Hole.end.rawValue)
        var head: [UInt8] = [RowRecord.text]
        head.append(number: style)
        head.append(number: UInt32(separators.count))
        for separator in separators {
            if let separator {
                unsafe separator.withUnsafeBytes { unsafe head.append(fragment: $0) }
            } else {
                head.append(number: RowRecord.unknown)
            }
        }
        unsafe template.withUnsafeBytes { unsafe head.append(fragment: $0) }
        guard unsafe RowAnswer.isWorthRepeating(head.count, rows: rows, of: text.count) else {
            throw RowAnswer.refused("there is too much around its rows to keep it with each")
        }
        var records: [[UInt8]] = []
        for row in 0..<rows {
            var record = head
            for column in unsafe columns.indices {
                unsafe record.append(fragment: columns[column][row])
            }
            records.append(record)
        }
        return records
    }
}
