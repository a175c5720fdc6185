// Finds the model's name in a gRPC request without holding its body.
//
// The bytes arrive in arbitrary cuts. The scanner walks the message's top-level tags, reads the
// name, and jumps over everything else; a tensor of 150 KB costs one addition. It goes on after
// the name is known: a second name further back would let gateway and backend disagree about the
// model, so it is an error.
//
//     body = 1 byte compressed flag, 4 bytes big-endian length, message, next message ...
//     message = (tag varint, value) ...      field 1, wire type 2: model_name
//
// Of a compressed message it finds the end; whoever routes by it has to decode it first.

import SluiceCore

/// An incremental reader of one request's routing field; trivial, so that requests hold it inline.
package struct RoutingScanner: BitwiseCopyable, Sendable {
    /// What is known after the bytes so far.
    package enum Outcome: Equatable, Sendable {
        /// The name may still come.
        case needMore
        /// The name is known (or the message has ended without one, and it is empty).
        case routed
        /// The body can't be passed on.
        case failed(Failure)
    }

    /// What is wrong with a body.
    package enum Failure: UInt8, Equatable, Sendable {
        case malformed, duplicateName, nameTooLong, tooLarge, secondMessage
    }

    private enum State: UInt8 { case prefix, tag, length, skip, varint, name, compressed, passing }

    /// The longest name, in bytes.
    package static let nameMaximum = 256

    // A record holds 48 bytes of it, so counts have the width of what gRPC counts in: a message's length has 32 bits.
    private var state = State.prefix
    private let isStreaming: Bool
    private var prefixCount: UInt8 = 0
    private var varintShift: UInt8 = 0
    private var isName = false
    private var hasName = false
    /// Whether the name is known.
    package private(set) var isRouted = false
    /// Whether the first message is compressed, so that it names nothing here.
    package private(set) var isCompressed = false
    private var varint: UInt64 = 0
    private let nameField: UInt32
    private let messageMaximum: UInt32
    private var field: UInt32 = 0
    private var messages: UInt32 = 0
    /// Bytes of the message that have not come yet.
    private var remaining: UInt32 = 0
    /// Bytes of the field under way.
    private var skip: UInt32 = 0
    private var length: UInt32 = 0
    private var nameLength: UInt32 = 0

    /// A scanner for messages whose field `nameField` names the model.
    ///
    /// Messages longer than `messageMaximum` are refused from their prefix. On a stream only the
    /// first message routes and later ones pass unseen.
    package init(nameField: Int, messageMaximum: Int, isStreaming: Bool) {
        self.nameField = UInt32(nameField)
        self.messageMaximum = UInt32(clamping: messageMaximum)
        self.isStreaming = isStreaming
    }

    /// The message's length, once the prefix is complete.
    package var messageLength: Int { Int(length) }

    /// Bytes of the name so far.
    package var nameCount: Int { Int(nameLength) }

    /// The message that was compressed is decoded now, and only the body's end may follow.
    package mutating func passesDecoded() { isCompressed = false }

    /// Whether the body may end here: between messages, with at least one.
    package var isComplete: Bool {
        state == .prefix && prefixCount == 0 && messages > 0 || state == .passing
    }

    /// Reads more of the body; the name's bytes go to `name`, which has ``nameMaximum`` places.
    package mutating func scan(
        _ bytes: UnsafeRawBufferPointer,
        name: UnsafeMutablePointer<UInt8>
    ) -> Outcome {
        if unsafe scanWhole(bytes, name: name) { return .routed }
        var index = 0
        let count = bytes.count
        while index < count || remaining == 0 && (state == .tag || state == .compressed) {
            switch state {
            case .passing: return isRouted ? .routed : .needMore
            case .prefix:
                let byte = unsafe bytes[index]
                index += 1
                if prefixCount == 0 {
                    if messages > 0 && !isStreaming { return .failed(.secondMessage) }
                    guard byte <= 1 else { return .failed(.malformed) }
                    isCompressed = byte == 1
                } else {
                    remaining = remaining << 8 | UInt32(byte)
                }
                prefixCount += 1
                guard prefixCount == 5 else { continue }
                prefixCount = 0
                length = remaining
                messages += 1
                guard remaining <= messageMaximum else { return .failed(.tooLarge) }
                state = isCompressed ? .compressed : .tag
            case .compressed:
                let step = min(Int(remaining), count - index)
                index += step
                remaining -= UInt32(step)
                if remaining == 0 { state = isStreaming ? .passing : .prefix }
            case .tag:
                if remaining == 0 && varintShift == 0 {
                    isRouted = true
                    state = isStreaming ? .passing : .prefix
                    continue
                }
                guard let value = unsafe readVarint(bytes, &index) else {
                    if remaining == 0 || varintShift > 63 { return .failed(.malformed) }
                    continue
                }
                field = UInt32(truncatingIfNeeded: value >> 3)
                guard field != 0, value >> 32 == 0 else { return .failed(.malformed) }
                isName = false
                switch value & 7 {
                case 0: state = .varint
                case 1: (skip, state) = (8, .skip)
                case 5: (skip, state) = (4, .skip)
                case 2:
                    isName = field == nameField
                    state = .length
                default: return .failed(.malformed)
                }
                if state == .skip && skip > remaining { return .failed(.malformed) }
                if isName && hasName { return .failed(.duplicateName) }
                if state != .skip && remaining == 0 { return .failed(.malformed) }
            case .varint:
                guard unsafe readVarint(bytes, &index) != nil else {
                    if remaining == 0 || varintShift > 63 { return .failed(.malformed) }
                    continue
                }
                state = .tag
            case .length:
                guard let value = unsafe readVarint(bytes, &index) else {
                    if remaining == 0 || varintShift > 63 { return .failed(.malformed) }
                    continue
                }
                guard value <= UInt64(remaining) else { return .failed(.malformed) }
                skip = UInt32(value)
                if isName {
                    guard skip <= UInt32(RoutingScanner.nameMaximum) else {
                        return .failed(.nameTooLong)
                    }
                    hasName = true
                    state = .name
                    if skip == 0 { finishName() }
                } else {
                    state = skip == 0 ? .tag : .skip
                }
            case .skip:
                let step = min(Int(skip), count - index)
                index += step
                skip -= UInt32(step)
                remaining -= UInt32(step)
                if skip == 0 { state = .tag }
            case .name:
                let step = min(Int(skip), count - index)
                for offset in 0..<step { unsafe name[nameCount + offset] = bytes[index + offset] }
                index += step
                nameLength += UInt32(step)
                skip -= UInt32(step)
                remaining -= UInt32(step)
                if skip == 0 { finishName() }
            }
        }
        return isRouted ? .routed : .needMore
    }

    /// The usual case: the bytes are one whole message and nothing else, and all is well with it.
    ///
    /// Whatever is odd changes nothing and is left to the careful way, which says what it is.
    private mutating func scanWhole(
        _ bytes: UnsafeRawBufferPointer,
        name: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        guard state == .prefix, prefixCount == 0, messages == 0, bytes.count > 5,
            let base = bytes.baseAddress, unsafe base.load(as: UInt8.self) == 0
        else { return false }
        let length = unsafe UInt32(
            bigEndian: base.loadUnaligned(fromByteOffset: 1, as: UInt32.self)
        )
        guard Int(length) == bytes.count - 5, length <= messageMaximum else { return false }
        var (next, end) = unsafe (base + 5, base + bytes.count)
        var found = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var hasFound = false
        while unsafe next < end {
            let tag = unsafe next.load(as: UInt8.self)
            unsafe next += 1
            guard tag < 0x80, tag >= 8 else { return false }
            switch tag & 7 {
            case 0:
                var size = 0
                repeat {
                    guard unsafe next < end, size < 10 else { return false }
                    size += 1
                    unsafe next += 1
                } while unsafe (next - 1).load(as: UInt8.self) >= 0x80
            case 1: unsafe next += 8
            case 2:
                var (size, shift) = (0, 0)
                while true {
                    guard unsafe next < end, shift < 35 else { return false }
                    let byte = unsafe next.load(as: UInt8.self)
                    unsafe next += 1
                    size |= Int(byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80 { break }
                }
                guard unsafe size <= end - next else { return false }
                if tag >> 3 == UInt8(truncatingIfNeeded: nameField) {
                    guard !hasFound, size <= RoutingScanner.nameMaximum else { return false }
                    unsafe found = UnsafeRawBufferPointer(start: next, count: size)
                    hasFound = true
                }
                unsafe next += size
            case 5: unsafe next += 4
            default: return false
            }
        }
        guard unsafe next == end else { return false }
        if let from = found.baseAddress {
            unsafe ShortBytes.copy(from, to: name, count: found.count)
        }
        nameLength = UInt32(truncatingIfNeeded: found.count)
        hasName = hasFound
        isRouted = true
        messages = 1
        self.length = length
        state = isStreaming ? .passing : .prefix
        return true
    }

    private mutating func finishName() {
        isRouted = true
        state = .tag
    }

    /// A varint of up to ten bytes, over cuts; nil until its last byte is there.
    @inline(__always)
    private mutating func readVarint(
        _ bytes: UnsafeRawBufferPointer,
        _ index: inout Int
    ) -> UInt64? {
        while index < bytes.count, remaining > 0, varintShift <= 63 {
            let byte = unsafe bytes[index]
            index += 1
            remaining -= 1
            varint |= UInt64(byte & 0x7F) << UInt64(varintShift)
            varintShift += 7
            if byte < 0x80 {
                let value = varint
                varint = 0
                varintShift = 0
                return value
            }
        }
        return nil
    }
}
