import SluiceCore
import SluiceWire

// Records of one style become the text that the backend would have written.
extension RowText {
    /// Appends the answer that records make; see ``RowAnswer/join(_:for:_:_:to:scratch:)``.
    static func join(
        _ records: [UnsafeRawBufferPointer],
        id: String,
        _ known: RowSeparators,
        to output: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        guard let first = unsafe records.first else {
            throw RowAnswer.refused("there are no records")
        }
        let start = output.count
        let head = try unsafe RowRecord(first)
        var separators = unsafe head.separators.map { unsafe $0.map { unsafe [UInt8]($0) } }
        var payloads: [[UnsafeRawBufferPointer]] = unsafe [head.payloads]
        for index in unsafe 1..<records.count {
            let record = try unsafe RowRecord(records[index])
            guard unsafe record.separators.count == separators.count,
                unsafe record.template.elementsEqual(head.template)
            else { throw RowAnswer.refused("its rows are of different answers") }
            for list in unsafe record.separators.indices {
                guard let separator = unsafe record.separators[list] else { continue }
                guard let known = separators[list] else {
                    unsafe separators[list] = [UInt8](separator)
                    continue
                }
                guard unsafe separator.elementsEqual(known) else {
                    throw RowAnswer.refused("rows are separated differently")
                }
            }
            guard unsafe record.payloads.count == head.payloads.count else {
                throw RowRecord.damaged
            }
            unsafe payloads.append(record.payloads)
        }
        if separators.contains(where: { $0 == nil }),
            let learnt = unsafe known.find(around: head.template),
            learnt.count == separators.count
        {
            for list in separators.indices where separators[list] == nil {
                separators[list] = learnt[list]
            }
        }
        let length = unsafe try fill(head.template, separators, payloads, id, start, &output)
        for column in unsafe separators.count..<head.payloads.count {
            for row in unsafe payloads.indices { unsafe output.append(payloads[row][column]) }
        }
        return unsafe head.payloads.count > separators.count ? length : nil
    }

    /// Appends the template with its holes filled; returns its length.
    private static func fill(
        _ template: UnsafeRawBufferPointer,
        _ separators: [[UInt8]?],
        _ payloads: [[UnsafeRawBufferPointer]],
        _ id: String,
        _ start: Int,
        _ output: inout ByteBuffer
    ) throws(InferenceFailure) -> Int {
        var reader = unsafe RecordReader(template, from: 0)
        var (list, size) = (0, separators.count)
        while true {
            unsafe output.append(try reader.fragment())
            switch Hole(rawValue: try reader.byte()) {
            case .rows:
                guard list < separators.count else { throw RowRecord.damaged }
                for row in unsafe payloads.indices {
                    if row > 0 {
                        guard let separator = separators[list] else {
                            throw RowAnswer.refused("nothing says yet what stands between its rows")
                        }
                        output.append(separator)
                    }
                    unsafe output.append(payloads[row][list])
                }
                list += 1
            case .rowCount: output.append(decimal: unsafe payloads.count)
            case .binarySize:
                var total = 0
                for row in unsafe payloads.indices {
                    guard unsafe size < payloads[row].count else { throw RowRecord.damaged }
                    total += unsafe payloads[row][size].count
                }
                output.append(decimal: total)
                size += 1
            case .id:
                guard !id.isEmpty else {
                    throw RowAnswer.refused("the backend names its answers by itself")
                }
                JSONStringText.append(id, to: &output)
            case .end:
                guard reader.isAtEnd else { throw RowRecord.damaged }
                return output.count - start
            case nil: throw RowRecord.damaged
            }
        }
    }
}
