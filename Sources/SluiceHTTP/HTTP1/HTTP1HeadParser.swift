// From the bytes of a head to fields, strictly (RFC 9112 §2 to §6).
//
// The whole head is there before parsing begins, so this is one pass without state. Every line ends
// with CRLF; a bare CR or LF anywhere is refused, because parsers disagree about them.
import SluiceCore

/// What a head says about the body and the connection.
struct HTTP1Framing {
    enum Body: Equatable {
        case none
        case length(Int)
        case chunked
        /// Until the connection closes (responses only).
        case close
    }

    var body = Body.none
    var keepsAlive = true
    var expectsContinue = false
    var isHTTP10 = false
    var status = 0
    var isHeadRequest = false
}

/// Parses complete heads and trailer sections.
enum HTTP1HeadParser {
    /// The length of the head at the start of `bytes`, its empty line included; nil while the empty
    /// line is missing. `searched` is where an earlier search may resume.
    static func headLength(_ bytes: UnsafeRawBufferPointer, searched: Int) -> Int? {
        var index = max(searched, 3)
        let count = bytes.count
        while index < count {
            // The end is CRLFCRLF: look at every fourth byte and step back when it may be inside.
            let byte = unsafe bytes[index]
            if byte == ASCII.lineFeed {
                if unsafe bytes[index - 1] == ASCII.carriageReturn
                    && bytes[index - 2] == ASCII.lineFeed
                    && bytes[index - 3] == ASCII.carriageReturn
                { return index + 1 }
                index += 1
            } else if byte == ASCII.carriageReturn {
                index += 1
            } else {
                index += 2
            }
        }
        return nil
    }

    // MARK: - Requests

    /// Reads a request's head into `block`, pseudo-fields first.
    static func request(
        _ bytes: UnsafeRawBufferPointer, into block: FieldBlock, isSecure: Bool
    ) throws(HTTP1Failure) -> HTTP1Framing {
        var framing = HTTP1Framing()
        let lineEnd = try unsafe endOfLine(bytes, from: 0)
        let line = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<lineEnd])
        guard let first = unsafe line.firstIndex(of: ASCII.space),
            let last = unsafe line.lastIndex(of: ASCII.space), last > first + 1
        else { throw HTTP1Failure(400, "the request line is not METHOD TARGET VERSION") }
        let method = unsafe UnsafeRawBufferPointer(rebasing: line[..<first])
        guard unsafe FieldValidation.isToken(method) else {
            throw HTTP1Failure(400, "the method is not a token")
        }
        let target = unsafe UnsafeRawBufferPointer(rebasing: line[(first + 1)..<last])
        try unsafe version(UnsafeRawBufferPointer(rebasing: line[(last + 1)...]), &framing)
        unsafe block.append(.method, method)
        block.append(.scheme, isSecure ? "https" : "http")
        var path = unsafe target
        var authority: UnsafeRawBufferPointer?
        if unsafe target[0] != ASCII.slash {
            if unsafe ASCII.equal(target, "*") {
                guard unsafe ASCII.equal(method, "OPTIONS") else {
                    throw HTTP1Failure(400, "only OPTIONS may ask for *")
                }
            } else {
                unsafe (authority, path) = try absoluteForm(target)
            }
        }
        guard unsafe ASCII.equal(path, "*") || FieldValidation.isPath(path) else {
            throw HTTP1Failure(400, "the request's target is not a valid path")
        }
        framing.isHeadRequest = unsafe ASCII.equal(method, "HEAD")
        // The authority's place is before the path; its value may come from Host further down.
        unsafe block.append(.authority, authority ?? UnsafeRawBufferPointer(start: nil, count: 0))
        unsafe block.append(.path, path)
        let fieldsFrom = block.count
        try unsafe fields(bytes, from: lineEnd + 2, into: block)
        try connection(block, from: fieldsFrom, &framing)
        try requestBody(block, from: fieldsFrom, &framing)
        try host(block, from: fieldsFrom, framing, hasAuthority: unsafe authority != nil)
        return framing
    }

    /// `http://authority/path` (RFC 9112 §3.2.2).
    private static func absoluteForm(
        _ target: UnsafeRawBufferPointer
    ) throws(HTTP1Failure) -> (UnsafeRawBufferPointer?, UnsafeRawBufferPointer) {
        for scheme in ["http://", "https://"] as [StaticString] {
            let length = scheme.utf8CodeUnitCount
            guard target.count > length,
                unsafe ASCII.equal(
                    UnsafeRawBufferPointer(rebasing: target[..<length]), ignoringCaseOf: scheme)
            else { continue }
            let rest = unsafe UnsafeRawBufferPointer(rebasing: target[length...])
            let slash = unsafe rest.firstIndex(of: ASCII.slash) ?? rest.count
            let authority = unsafe UnsafeRawBufferPointer(rebasing: rest[..<slash])
            guard unsafe !authority.isEmpty, unsafe FieldValidation.isAuthority(authority) else {
                throw HTTP1Failure(400, "the target's authority is not a host")
            }
            guard slash < rest.count else {
                throw HTTP1Failure(400, "an absolute target needs a path")
            }
            return unsafe (authority, UnsafeRawBufferPointer(rebasing: rest[slash...]))
        }
        throw HTTP1Failure(400, "the request's target is neither a path nor a URI")
    }

    private static func host(
        _ block: FieldBlock, from start: Int, _ framing: HTTP1Framing, hasAuthority: Bool
    ) throws(HTTP1Failure) {
        var found: Int?
        for index in start..<block.count where block[index].name == .host {
            guard found == nil else { throw HTTP1Failure(400, "more than one Host") }
            found = index
        }
        guard let found else {
            guard framing.isHTTP10 || hasAuthority else { throw HTTP1Failure(400, "no Host") }
            return
        }
        let value = unsafe block.value(of: block[found])
        guard unsafe FieldValidation.isAuthority(value) else {
            throw HTTP1Failure(400, "Host is not a host")
        }
        block.remove(at: found)
        if !hasAuthority { unsafe block.set(.authority, value) }
    }

    private static func requestBody(
        _ block: FieldBlock, from start: Int, _ framing: inout HTTP1Framing
    ) throws(HTTP1Failure) {
        let (length, isChunked) = try bodyFields(block, from: start, framing, failing: 400)
        if isChunked {
            framing.body = .chunked
        } else if let length {
            framing.body = length == 0 ? .none : .length(length)
        }
    }

    // MARK: - Responses

    /// Reads a response's head into `block`.
    static func response(
        _ bytes: UnsafeRawBufferPointer, into block: FieldBlock, toHead: Bool
    ) throws(HTTP1Failure) -> HTTP1Framing {
        var framing = HTTP1Framing()
        let lineEnd = try unsafe endOfLine(bytes, from: 0)
        // HTTP/1.1 200 Reason; the reason and even its space may be missing.
        guard lineEnd >= 12, unsafe bytes[8] == ASCII.space else {
            throw HTTP1Failure(502, "the status line is not VERSION STATUS REASON")
        }
        try unsafe version(UnsafeRawBufferPointer(rebasing: bytes[..<8]), &framing)
        let digits = unsafe UnsafeRawBufferPointer(rebasing: bytes[9..<12])
        guard let status = unsafe ASCII.decimal(digits), status >= 100,
            unsafe lineEnd == 12 || bytes[12] == ASCII.space
        else { throw HTTP1Failure(502, "the status is not three digits") }
        framing.status = status
        block.append(status: status)
        try unsafe fields(bytes, from: lineEnd + 2, into: block)
        try connection(block, from: 1, &framing)
        let (length, isChunked) = try bodyFields(block, from: 1, framing, failing: 502)
        // RFC 9112 §6.3: these have no body, whatever their fields say.
        if toHead || status < 200 || status == 204 || status == 304 {
            framing.body = .none
        } else if isChunked {
            framing.body = .chunked
        } else if let length {
            framing.body = length == 0 ? .none : .length(length)
        } else {
            framing.body = .close
            framing.keepsAlive = false
        }
        return framing
    }

    // MARK: - Parts

    private static func version(
        _ text: UnsafeRawBufferPointer, _ framing: inout HTTP1Framing
    ) throws(HTTP1Failure) {
        if unsafe ASCII.equal(text, "HTTP/1.1") { return }
        guard unsafe ASCII.equal(text, "HTTP/1.0") else {
            guard unsafe ASCII.hasPrefix(text, "HTTP/") else {
                throw HTTP1Failure(400, "the version is not HTTP's")
            }
            throw HTTP1Failure(505, "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here")
        }
        framing.isHTTP10 = true
        framing.keepsAlive = false
    }

    /// Where the line that begins at `start` ends, before its CRLF.
    private static func endOfLine(
        _ bytes: UnsafeRawBufferPointer, from start: Int
    ) throws(HTTP1Failure) -> Int {
        var index = start
        while index < bytes.count {
            let byte = unsafe bytes[index]
            if byte == ASCII.carriageReturn {
                guard index + 1 < bytes.count, unsafe bytes[index + 1] == ASCII.lineFeed
                else { throw HTTP1Failure(400, "a carriage return without line feed") }
                return index
            }
            guard byte != ASCII.lineFeed, byte != 0 else {
                throw HTTP1Failure(400, "a line feed without carriage return, or a NUL")
            }
            index += 1
        }
        throw HTTP1Failure(400, "the head has no end")
    }

    /// Reads field lines up to the empty one; names are folded to lower case.
    static func fields(
        _ bytes: UnsafeRawBufferPointer, from start: Int, into block: FieldBlock
    ) throws(HTTP1Failure) {
        var index = start
        try unsafe withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) {
            folded throws(HTTP1Failure) in
            while true {
                let end = try unsafe endOfLine(bytes, from: index)
                if end == index { return }
                guard unsafe bytes[index] != ASCII.space, unsafe bytes[index] != ASCII.tab else {
                    throw HTTP1Failure(400, "a folded field line")
                }
                var colon = index
                while colon < end, unsafe bytes[colon] != ASCII.colon { colon += 1 }
                let length = colon - index
                guard colon < end, length > 0, length <= 256 else {
                    throw HTTP1Failure(400, "a field line without a name of up to 256 bytes")
                }
                for offset in 0..<length {
                    let byte = unsafe bytes[index + offset]
                    guard FieldValidation.isToken(byte) else {
                        throw HTTP1Failure(400, "a field name that is not a token")
                    }
                    unsafe folded[offset] = ASCII.lowercased(byte)
                }
                var (from, to) = (colon + 1, end)
                while from < to, unsafe isBlank(bytes[from]) { from += 1 }
                while to > from, unsafe isBlank(bytes[to - 1]) { to -= 1 }
                let value = unsafe UnsafeRawBufferPointer(rebasing: bytes[from..<to])
                guard unsafe FieldValidation.isValue(value) else {
                    throw HTTP1Failure(400, "a field value with a control character")
                }
                unsafe block.append(
                    name: UnsafeRawBufferPointer(rebasing: folded[..<length]), value: value)
                index = end + 2
            }
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }

    /// Content-Length and Transfer-Encoding, which must not contradict each other or themselves.
    private static func bodyFields(
        _ block: FieldBlock, from start: Int, _ framing: HTTP1Framing, failing status: Int
    ) throws(HTTP1Failure) -> (length: Int?, isChunked: Bool) {
        var length: Int?
        var isChunked = false
        for index in start..<block.count {
            let value = unsafe block.value(of: block[index])
            switch block[index].name {
            case .contentLength:
                guard length == nil else {
                    throw HTTP1Failure(status, "more than one Content-Length")
                }
                guard let number = unsafe ASCII.decimal(value) else {
                    throw HTTP1Failure(status, "Content-Length is not a number")
                }
                length = number
            case .transferEncoding:
                guard !isChunked else {
                    throw HTTP1Failure(status, "more than one Transfer-Encoding")
                }
                guard unsafe ASCII.equal(value, ignoringCaseOf: "chunked") else {
                    throw HTTP1Failure(
                        status == 400 ? 501 : status, "a transfer coding other than chunked")
                }
                isChunked = true
            default: break
            }
        }
        guard !(isChunked && length != nil) else {
            throw HTTP1Failure(status, "both Content-Length and Transfer-Encoding")
        }
        guard !(isChunked && framing.isHTTP10) else {
            throw HTTP1Failure(status, "Transfer-Encoding in HTTP/1.0")
        }
        return (length, isChunked)
    }

    /// Reads what concerns this hop only, and removes it from the block (RFC 9110 §7.6.1).
    private static func connection(
        _ block: FieldBlock, from start: Int, _ framing: inout HTTP1Framing
    ) throws(HTTP1Failure) {
        for index in start..<block.count {
            let value = unsafe block.value(of: block[index])
            switch block[index].name {
            case .connection:
                unsafe options(value, block, start, &framing)
                block.remove(at: index)
            case .keepAlive, .proxyConnection, .upgrade, .http2Settings:
                block.remove(at: index)
            case .expect:
                guard unsafe ASCII.equal(value, ignoringCaseOf: "100-continue") else {
                    throw HTTP1Failure(417, "the only known expectation is 100-continue")
                }
                framing.expectsContinue = !framing.isHTTP10
                block.remove(at: index)
            case .transferCodings:
                if unsafe !ASCII.equal(value, ignoringCaseOf: "trailers") {
                    block.remove(at: index)
                }
            default: break
            }
        }
    }

    private static func options(
        _ value: UnsafeRawBufferPointer, _ block: FieldBlock, _ start: Int,
        _ framing: inout HTTP1Framing
    ) {
        var from = 0
        while from <= value.count {
            var to = from
            while to < value.count, unsafe value[to] != ASCII.comma { to += 1 }
            var (left, right) = (from, to)
            while left < right, unsafe isBlank(value[left]) { left += 1 }
            while right > left, unsafe isBlank(value[right - 1]) { right -= 1 }
            let option = unsafe UnsafeRawBufferPointer(rebasing: value[left..<right])
            if unsafe ASCII.equal(option, ignoringCaseOf: "close") {
                framing.keepsAlive = false
            } else if unsafe ASCII.equal(option, ignoringCaseOf: "keep-alive") {
                framing.keepsAlive = true
            } else if unsafe !option.isEmpty {
                unsafe removeNamed(option, block, start)
            }
            from = to + 1
        }
    }

    /// Removes the fields a `Connection` option names, but never those that frame or route.
    private static func removeNamed(
        _ option: UnsafeRawBufferPointer, _ block: FieldBlock, _ start: Int
    ) {
        for index in start..<block.count {
            let field = block[index]
            switch field.name {
            case .host, .contentLength, .transferEncoding, .expect, .connection: continue
            default: break
            }
            let name = unsafe block.name(of: field)
            guard name.count == option.count else { continue }
            var isEqual = true
            for offset in 0..<(name.count)
            where unsafe name[offset] != ASCII.lowercased(option[offset]) { isEqual = false }
            if isEqual { block.remove(at: index) }
        }
    }
}
