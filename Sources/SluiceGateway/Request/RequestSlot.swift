import SluiceGRPC

/// Where the parts of a request lie in the slot of its slab, in bytes from the record.
///
/// A slot is a whole number of cache lines and begins with one. The record's four lines are written when the request
/// begins; the other parts are begun on first use, which a bit of the record's ``RequestFlags`` says, and hold what
/// was there before until then.
///
///     0      256       320         332         460         716      844
///     ├ record ┼ scanner, ┼ path parts ┼ request ID ┼ model name ┼ small ┼ lookup · mirror · hedge ·
///     │ 4 lines│ arrivals │            │ 128 bytes  │ 256 bytes  │ body  │ replay · clock · ticket
///
/// What a gRPC request adds is one line, and what a REST request adds is in one line with the identifier.
enum RequestSlot {
    static let lineSize = 64
    static let requestIDMaximum = 128
    // The scanner's own bound would be a call into its module.
    static let modelNameMaximum = 256
    /// A small body, kept to be sent once more.
    static let smallBodyMaximum = 128

    // Computed, so that they are constants where they are used.
    static var scanner: Int { MemoryLayout<RequestRecord>.stride }
    static var neighbours: Int { scanner + MemoryLayout<RoutingScanner>.stride }
    static var pathParts: Int { neighbours + MemoryLayout<ArrivalNeighbours>.stride }
    static var requestID: Int { pathParts + MemoryLayout<PathParts>.stride }
    static var modelName: Int { requestID + requestIDMaximum }
    static var smallBody: Int { modelName + modelNameMaximum }
    static var lookup: Int { (smallBody + smallBodyMaximum + 7) & ~7 }
    static var mirror: Int { lookup + MemoryLayout<LookupState>.stride }
    static var hedge: Int { mirror + MemoryLayout<UInt>.stride }
    static var replay: Int { hedge + MemoryLayout<UInt>.stride }
    static var clock: Int { replay + MemoryLayout<Replay>.stride }
    static var queueTicket: Int { clock + MemoryLayout<AttemptClock>.stride }
    /// The whole slot.
    static var size: Int {
        (queueTicket + MemoryLayout<QueueTicket>.stride + lineSize - 1) & ~(lineSize - 1)
    }
}

/// A part of a request's slot that is begun on first use.
protocol RequestPart: BitwiseCopyable {
    /// The bit that says that it has been begun.
    static var flag: RequestFlags { get }
    /// Where it lies; see ``RequestSlot``.
    static var offset: Int { get }

    /// The part as it is before anything is known.
    init()
}

extension RoutingScanner: RequestPart {
    static var flag: RequestFlags { .scanner }
    static var offset: Int { RequestSlot.scanner }

    init() { self.init(nameField: 1, messageMaximum: 0, isStreaming: false) }
}

extension PathParts: RequestPart {
    static var flag: RequestFlags { .pathParts }
    static var offset: Int { RequestSlot.pathParts }
}

extension LookupState: RequestPart {
    static var flag: RequestFlags { .lookup }
    static var offset: Int { RequestSlot.lookup }
}

extension Replay: RequestPart {
    static var flag: RequestFlags { .replay }
    static var offset: Int { RequestSlot.replay }
}

extension AttemptClock: RequestPart {
    static var flag: RequestFlags { .clock }
    static var offset: Int { RequestSlot.clock }
}

extension QueueTicket: RequestPart {
    static var flag: RequestFlags { .queueTicket }
    static var offset: Int { RequestSlot.queueTicket }
}
