import SluiceCore

/// A head that goes on as one like it went before, told from what came.
///
/// An intermediary changes a head the same way each time: so the head as it came, and what is done with
/// it, name what goes out. Where a connection knows that name, the head is neither changed nor encoded:
/// its volatile fields take their values from the head as it came, and the one that was added to it.
@safe
package struct RepeatedHead: BitwiseCopyable {
    /// What the block that goes out is called.
    package let name: HeadName
    /// The head as it came, whose fields have the numbers that they have in what goes out.
    let block: FieldBlock
    /// The value of a volatile field that was added behind those that came.
    let added: UnsafeRawBufferPointer

    /// A head called `name` that `block` becomes; `added` is borrowed for the call.
    package init(name: HeadName, block: FieldBlock, added: UnsafeRawBufferPointer) {
        self.name = name
        self.block = block
        unsafe self.added = unsafe added
    }

    /// The value of field number `field` of what goes out.
    @inline(__always)
    func value(at field: Int) -> UnsafeRawBufferPointer {
        unsafe field < block.count ? block.value(of: block[field]) : added
    }

    /// The most bytes that values take together.
    var valueBytes: Int { unsafe block.byteCount &+ added.count }
}
