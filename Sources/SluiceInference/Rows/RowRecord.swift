import SluiceCore

/// One row of an answer as it is kept, read where it lies; it may come from anywhere.
///
/// A text record is ``text``, the style in four bytes, the number of lists and what stands between
/// the rows of each (a length of 0xFFFF_FFFF: not known), the template, and the row's payloads: text
/// for each list, then bytes for each binary output. The template is literals, each followed by the
/// kind of hole behind it. Every piece stands behind its length in four bytes.
@safe
struct RowRecord {
    /// The first byte of a message: a ModelInferResponse with raw contents follows.
    static var message: UInt8 { 2 }
    /// The first byte of a row of JSON.
    static var text: UInt8 { 4 }
    /// The length that stands for a piece that isn't known.
    static var unknown: UInt32 { .max }

    let separators: [UnsafeRawBufferPointer?]
    let template: UnsafeRawBufferPointer
    let payloads: [UnsafeRawBufferPointer]

    init(_ record: UnsafeRawBufferPointer) throws(InferenceFailure) {
        guard unsafe record.first == RowRecord.text else {
            throw RowAnswer.refused("a record isn't of JSON")
        }
        var reader = unsafe RecordReader(record, from: 5)
        let lists = Int(try reader.number())
        guard lists <= record.count else { throw RowRecord.damaged }
        var separators: [UnsafeRawBufferPointer?] = unsafe []
        for _ in 0..<lists {
            unsafe separators.append(try reader.fragment(orNilFor: RowRecord.unknown))
        }
        unsafe self.separators = unsafe separators
        unsafe template = try reader.fragment()
        var payloads: [UnsafeRawBufferPointer] = unsafe []
        while !reader.isAtEnd { unsafe payloads.append(try reader.fragment()) }
        guard unsafe payloads.count >= lists else { throw RowRecord.damaged }
        unsafe self.payloads = unsafe payloads
    }

    /// The style of a record of JSON; nil for others.
    static func style(of record: UnsafeRawBufferPointer) -> UInt32? {
        guard record.count >= 5, unsafe record[0] == text else { return nil }
        return unsafe UInt32(
            littleEndian: record.loadUnaligned(fromByteOffset: 1, as: UInt32.self)
        )
    }

    static var damaged: InferenceFailure { RowAnswer.refused("a record is damaged") }
}

/// Reads a record that may come from anywhere.
@safe
struct RecordReader {
    private let bytes: UnsafeRawBufferPointer
    private var index: Int

    init(_ bytes: UnsafeRawBufferPointer, from index: Int) {
        unsafe self.bytes = bytes
        self.index = min(index, bytes.count)
    }

    var isAtEnd: Bool { unsafe index == bytes.count }

    mutating func byte() throws(InferenceFailure) -> UInt8 {
        guard unsafe index < bytes.count else { throw RowRecord.damaged }
        defer { index += 1 }
        return unsafe bytes[index]
    }

    mutating func number() throws(InferenceFailure) -> UInt32 {
        guard unsafe bytes.count - index >= 4 else { throw RowRecord.damaged }
        defer { index += 4 }
        return unsafe UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self)
        )
    }

    mutating func fragment() throws(InferenceFailure) -> UnsafeRawBufferPointer {
        guard let fragment = unsafe try fragment(orNilFor: nil) else {
            preconditionFailure("only a given length stands for nothing")
        }
        return unsafe fragment
    }

    mutating func fragment(
        orNilFor unknown: UInt32?
    ) throws(InferenceFailure) -> UnsafeRawBufferPointer? {
        let length = try number()
        if length == unknown { return nil }
        guard unsafe Int(length) <= bytes.count - index else { throw RowRecord.damaged }
        defer { index += Int(length) }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[index..<(index + Int(length))])
    }
}

extension [UInt8] {
    /// Appends a number as records have it.
    mutating func append(number: UInt32) {
        unsafe Swift.withUnsafeBytes(of: number.littleEndian) { unsafe append(contentsOf: $0) }
    }

    /// Appends bytes behind their length.
    mutating func append(fragment: UnsafeRawBufferPointer) {
        append(number: UInt32(fragment.count))
        unsafe append(contentsOf: fragment)
    }
}
