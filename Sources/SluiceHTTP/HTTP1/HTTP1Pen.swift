import SluiceCore

/// A place to write to, in memory that has room for all that will be written.
@safe
struct HTTP1Pen {
    private let start: UnsafeMutablePointer<UInt8>
    private var place: UnsafeMutablePointer<UInt8>

    init(_ place: UnsafeMutablePointer<UInt8>) {
        unsafe start = unsafe place
        unsafe self.place = unsafe place
    }

    var written: Int { unsafe place - start }

    mutating func write(byte: UInt8) {
        unsafe place.pointee = byte
        unsafe place += 1
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard let from = bytes.baseAddress else { return }
        unsafe ShortBytes.copy(from, to: place, count: bytes.count)
        unsafe place += bytes.count
    }

    mutating func write(_ text: StaticString) {
        unsafe write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func write(decimal number: Int) {
        var digits = 1
        var bound = 10
        while digits < 19, number >= bound {
            digits += 1
            bound = bound.multipliedReportingOverflow(by: 10).partialValue
        }
        var rest = number
        var index = digits
        while index > 0 {
            index -= 1
            unsafe place[index] = ASCII.zero + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        unsafe place += digits
    }

    mutating func endLine() {
        unsafe UnsafeMutableRawPointer(place).storeBytes(of: HTTP1Writer.lineEnd, as: UInt16.self)
        unsafe place += 2
    }

    mutating func write(_ field: Field, of block: FieldBlock) {
        let name = unsafe block.name(of: field)
        let value = unsafe block.value(of: field)
        guard
            unsafe field.isSound
                || (field.name != .other || FieldValidation.isLowercaseToken(name))
                    && FieldValidation.isText(value)
        else { return }
        unsafe write(name)
        write(byte: ASCII.colon)
        write(byte: ASCII.space)
        unsafe write(value)
        endLine()
    }

    mutating func write(_ framing: HTTP1Writer.Framing, _ layout: inout HTTP1Layout) {
        switch framing {
        case .none: return
        case .length(let length):
            write("content-length: ")
            let before = written
            write(decimal: length)
            layout.noteLength(before..<written)
            endLine()
        case .chunked: write("transfer-encoding: chunked\r\n")
        }
    }

    mutating func write(_ persistence: HTTP1Writer.Persistence) {
        switch persistence {
        case .implied: return
        case .close: write("connection: close\r\n")
        case .keepAlive: write("connection: keep-alive\r\n")
        }
    }
}
