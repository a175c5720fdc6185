import SluiceCore
import SluiceWire

/// A JSON answer as its text with holes.
///
/// A record is `kind`, the number of lists and what stands between the rows of each (a length of
/// 0xFFFF_FFFF: not known), the template, and the row's payloads: text for each list, then bytes for
/// each binary output. The template is literals, each followed by the kind of hole behind it. Every
/// piece stands behind its length in four bytes.
@safe
struct RowText {
    private enum Hole: UInt8 {
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

    private static var unknown: UInt32 { .max }

    private let text: UnsafeRawBufferPointer
    private var binary: UnsafeRawBufferPointer
    private let rows: Int
    private var marks: [Mark] = []
    private var separators: [[UInt8]?] = []
    /// The rows of each list, then of each binary output.
    private var columns: [[UnsafeRawBufferPointer]] = unsafe []
    private var binaryColumns: [[UnsafeRawBufferPointer]] = unsafe []
    private(set) var hasID = false
    /// The answer's `id`, if it has one.
    let id: String

    /// Finds the holes; throws when there is no reading of the text as `rows` rows.
    init(
        _ body: UnsafeRawBufferPointer,
        _ headerLength: Int?,
        _ rows: Int,
        isV1: Bool
    ) throws(InferenceFailure) {
        let length = headerLength ?? body.count
        guard length >= 0, length <= body.count else {
            throw RowAnswer.refused("its JSON's length is wrong")
        }
        unsafe text = UnsafeRawBufferPointer(rebasing: body[..<length])
        unsafe binary = UnsafeRawBufferPointer(rebasing: body[length...])
        self.rows = rows
        let response =
            isV1 ? nil : try unsafe InferenceResponse(json: body, headerLength: headerLength)
        id = response?.id ?? ""
        do throws(JSONFailure) {
            var cursor = unsafe JSONCursor(text)
            try cursor.enterObject()
            while let name = try cursor.nextMember() {
                if isV1, name.equals("predictions") {
                    unsafe try list(unsafe cursor.skip(), perRow: 1)
                } else if !isV1, name.equals("id"), try cursor.peek() == .string {
                    hasID = true
                    unsafe mark(try cursor.skip(), .id)
                } else if !isV1, name.equals("outputs") {
                    var index = 0
                    try cursor.enterArray()
                    while try cursor.nextElement() {
                        guard let tensor = response?.outputs[index] else { break }
                        try output(&cursor, tensor)
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

    private mutating func output(_ cursor: inout JSONCursor, _ tensor: Tensor) throws(JSONFailure) {
        guard tensor.shape.first == rows else {
            throw cursor.failure(
                "output '\(tensor.name)' has shape \(tensor.shape), not \(rows) rows"
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
            guard separator == nil || separator == between else {
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

    /// One record for each row.
    mutating func records() throws(InferenceFailure) -> [[UInt8]] {
        var template: [UInt8] = []
        var place = 0
        for mark in marks {
            unsafe template.append(
                piece: UnsafeRawBufferPointer(rebasing: text[place..<mark.range.lowerBound])
            )
            template.append(mark.hole.rawValue)
            place = mark.range.upperBound
        }
        unsafe template.append(piece: UnsafeRawBufferPointer(rebasing: text[place...]))
        template.append(Hole.end.rawValue)
        var head: [UInt8] = [RecordKind.text]
        head.append(number: UInt32(separators.count))
        for separator in separators {
            if let separator {
                unsafe separator.withUnsafeBytes { unsafe head.append(piece: $0) }
            } else {
                head.append(number: RowText.unknown)
            }
        }
        unsafe template.withUnsafeBytes { unsafe head.append(piece: $0) }
        var records: [[UInt8]] = []
        for row in 0..<rows {
            var record = head
            for column in unsafe columns.indices {
                unsafe record.append(piece: columns[column][row])
            }
            records.append(record)
        }
        return records
    }

    // MARK: - Joining

    /// Appends the answer that records make; see ``RowAnswer/join(_:id:to:scratch:)``.
    static func join(
        _ records: [UnsafeRawBufferPointer],
        id: String,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        let start = output.count
        var separators: [UnsafeRawBufferPointer?] = unsafe []
        var template = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var payloads: [[UnsafeRawBufferPointer]] = unsafe []
        for index in unsafe records.indices {
            var reader = unsafe RecordReader(records[index], from: 1)
            let lists = Int(try reader.number())
            guard unsafe lists <= records[index].count,
                unsafe index == 0 || lists == separators.count
            else {
                throw RowAnswer.refused("its rows are of different answers")
            }
            for list in 0..<lists {
                let separator = unsafe try reader.piece(orNilFor: unknown)
                if index == 0 {
                    unsafe separators.append(separator)
                } else if let known = unsafe separators[list], let separator = unsafe separator {
                    guard unsafe known.elementsEqual(separator) else {
                        throw RowAnswer.refused("rows are separated differently")
                    }
                } else {
                    unsafe separators[list] = unsafe separators[list] ?? separator
                }
            }
            let around = unsafe try reader.piece()
            if index == 0 { unsafe template = unsafe around }
            guard unsafe around.elementsEqual(template) else {
                throw RowAnswer.refused("its rows are of different answers")
            }
            var found: [UnsafeRawBufferPointer] = unsafe []
            while !reader.isAtEnd { unsafe found.append(try reader.piece()) }
            guard unsafe found.count >= lists, unsafe index == 0 || found.count == payloads[0].count
            else {
                throw RowAnswer.refused("a record is damaged")
            }
            unsafe payloads.append(found)
        }
        var reader = unsafe RecordReader(template, from: 0)
        var (list, size) = (0, unsafe separators.count)
        while true {
            unsafe output.append(try reader.piece())
            switch Hole(rawValue: try reader.byte()) {
            case .rows:
                guard unsafe list < separators.count else {
                    throw RowAnswer.refused("a record is damaged")
                }
                for row in unsafe payloads.indices {
                    if row > 0 {
                        guard let separator = unsafe separators[list] else {
                            throw RowAnswer.refused("nothing says yet what stands between its rows")
                        }
                        unsafe output.append(separator)
                    }
                    unsafe output.append(payloads[row][list])
                }
                list += 1
            case .rowCount: output.append(decimal: unsafe payloads.count)
            case .binarySize:
                var total = 0
                for row in unsafe payloads.indices {
                    guard unsafe size < payloads[row].count else {
                        throw RowAnswer.refused("a record is damaged")
                    }
                    total += unsafe payloads[row][size].count
                }
                output.append(decimal: total)
                size += 1
            case .id: JSONStringText.append(id, to: &output)
            case .end:
                guard reader.isAtEnd else { throw RowAnswer.refused("a record is damaged") }
                let length = output.count - start
                let first = unsafe separators.count
                for column in unsafe first..<payloads[0].count {
                    for row in unsafe payloads.indices {
                        unsafe output.append(payloads[row][column])
                    }
                }
                return unsafe payloads[0].count > first ? length : nil
            case nil: throw RowAnswer.refused("a record is damaged")
            }
        }
    }
}

/// Reads a record that may come from anywhere.
@safe
private struct RecordReader {
    private let bytes: UnsafeRawBufferPointer
    private var index: Int

    init(_ bytes: UnsafeRawBufferPointer, from index: Int) {
        unsafe self.bytes = bytes
        self.index = index
    }

    var isAtEnd: Bool { unsafe index == bytes.count }

    mutating func byte() throws(InferenceFailure) -> UInt8 {
        guard unsafe index < bytes.count else { throw RowAnswer.refused("a record is damaged") }
        defer { index += 1 }
        return unsafe bytes[index]
    }

    mutating func number() throws(InferenceFailure) -> UInt32 {
        guard unsafe bytes.count - index >= 4 else {
            throw RowAnswer.refused("a record is damaged")
        }
        defer { index += 4 }
        return unsafe UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self)
        )
    }

    mutating func piece() throws(InferenceFailure) -> UnsafeRawBufferPointer {
        guard let piece = unsafe try piece(orNilFor: nil) else {
            preconditionFailure("only a given length stands for nothing")
        }
        return unsafe piece
    }

    mutating func piece(
        orNilFor unknown: UInt32?
    ) throws(InferenceFailure) -> UnsafeRawBufferPointer? {
        let length = try number()
        if length == unknown { return nil }
        guard unsafe Int(length) <= bytes.count - index else {
            throw RowAnswer.refused("a record is damaged")
        }
        defer { index += Int(length) }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[index..<(index + Int(length))])
    }
}

extension [UInt8] {
    fileprivate mutating func append(number: UInt32) {
        unsafe Swift.withUnsafeBytes(of: number.littleEndian) { unsafe append(contentsOf: $0) }
    }

    fileprivate mutating func append(piece: UnsafeRawBufferPointer) {
        append(number: UInt32(piece.count))
        unsafe append(contentsOf: piece)
    }
}
