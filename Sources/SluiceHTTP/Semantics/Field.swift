/// One field of a message: where its name and value lie in the block's memory.
public struct Field: BitwiseCopyable {
    public let name: FieldName
    @usableFromInline var marks: UInt8 = 0
    @usableFromInline let nameLength: UInt16
    @usableFromInline var nameStart: UInt32
    @usableFromInline var valueStart: UInt32
    @usableFromInline var valueLength: UInt32

    @inlinable static var removed: UInt8 { 1 }
    @inlinable static var volatile: UInt8 { 2 }
    static let secret: UInt8 = 4
    static let sound: UInt8 = 8

    @inlinable public var isRemoved: Bool { marks & Field.removed != 0 }
    /// Whether the value changes from message to message, so that HPACK shouldn't remember it.
    @inlinable public var isVolatile: Bool { marks & Field.volatile != 0 }
    /// Whether its sender forbade every hop to remember it (RFC 7541 §6.2.3).
    var isSecret: Bool { marks & Field.secret != 0 }
    /// Whether name and value are known to be what RFC 9113 §8.2.1 allows.
    var isSound: Bool { marks & Field.sound != 0 }
}
