import SluiceConfiguration
import SluiceHTTP
import SluiceWire

/// One call of the admin API, whole.
struct AdminRequest {
    var method: String
    /// Without the query, as it came.
    var path: String
    /// The path's segments, percent-decoded.
    var segments: [String]
    /// The query's parameters, percent-decoded, a plus being a space; of equal names the last counts.
    var query: [String: String]
    var accept: String
    var authorization: String?
    var ifMatch: String?
    var ifNoneMatch: String?
    /// The id of the last message of an event stream that the caller has (WHATWG HTML §9.2.4).
    var lastEventID: String?
    /// The authority it was sent to, as it came: `HOST[:PORT]`.
    var host: String
    /// Whether a browser sends it for a page that isn't ours.
    ///
    /// A page of any site may have a browser send simple requests to a loopback address, and needs
    /// no permission for that (Fetch, "CORS protocol"); but the browser says whose page it was.
    var isFromAnotherSite: Bool
    /// Whether a browser asks under a host's name.
    ///
    /// A stranger's page may give its own name our address (DNS rebinding), and is then no other
    /// site to the browser.
    var isFromNamedSite: Bool
    /// Who says to be asking (`x-sluice-author`), not verified.
    var author: String?
    /// Where the caller is.
    var client: String
    /// Whether it came over a socket's file, whose permissions say who may.
    var isFromSocketFile: Bool { client.hasPrefix("unix:") }
    var body: [UInt8] = []
    /// Whether the body grew over ``AdminServer/bodyMaximum``.
    var isOversized = false

    init(_ head: FieldBlock, client: String) {
        let target = head.text(.path) ?? "/"
        method = head.text(.method) ?? ""
        path = String(target.prefix { $0 != "?" })
        segments = path.split(separator: "/").map { AdminRequest.decoded($0) }
        query = [:]
        for pair in target.drop(while: { $0 != "?" }).dropFirst().split(separator: "&") {
            let name = pair.prefix { $0 != "=" }
            query[AdminRequest.parameter(name)] =
                AdminRequest.parameter(pair.dropFirst(name.count + 1))
        }
        accept = head.text(.accept) ?? ""
        authorization = head.text(named: "authorization")
        ifMatch = head.text(named: "if-match")
        ifNoneMatch = head.text(named: "if-none-match")
        lastEventID = head.text(named: "last-event-id")
        author = head.text(named: "x-sluice-author")
        let origin = head.text(named: "origin")
        let host = head.text(.authority) ?? ""
        self.host = host
        isFromAnotherSite =
            origin.map { $0 != "http://\(host)" && $0 != "https://\(host)" } ?? false
        isFromNamedSite = origin != nil && !HostName.isAddress(host)
        self.client = client
    }

    /// Who is asking, as events and logs say it.
    var who: String {
        guard let author, !author.isEmpty, author.utf8.count <= 64,
            author.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return "admin \(client)" }
        return "\(author) at \(client)"
    }

    /// The body as JSON.
    func json() throws(AdminError) -> JSONValue {
        do throws(JSONFailure) {
            return try JSONParser.parse(body)
        } catch {
            throw AdminError(400, "the body is not JSON: \(error)")
        }
    }

    // In a query a plus is a space to forms, browsers' scripts and most libraries (WHATWG URL,
    // "application/x-www-form-urlencoded").
    private static func parameter(_ text: Substring) -> String {
        decoded(text.contains("+") ? Substring(text.map { $0 == "+" ? " " : $0 }) : text)
    }

    private static func decoded(_ text: Substring) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// What a call is answered.
struct AdminReply {
    var status: Int
    var type: StaticString
    var body: [UInt8]
    /// Further fields: names in lower case.
    var fields: [(name: String, value: String)] = []
    /// What of the state's events follow, for as long as the caller listens; nil for nothing.
    var view: StreamView?

    init(_ status: Int, type: StaticString, _ body: [UInt8]) {
        self.status = status
        self.type = type
        self.body = body
    }

    init(_ status: Int = 200, _ value: JSONValue) {
        self.init(status, type: "application/json", value.serialized)
    }
}

/// Why a call is refused.
struct AdminError: Error {
    var status: Int
    var sentence: String

    /// A parameter that can't be used.
    init(_ failure: ModelQuery.Failure) { self.init(400, failure.sentence) }

    init(_ status: Int, _ sentence: String) {
        self.status = status
        self.sentence = sentence
    }

    var reply: AdminReply {
        AdminReply(status, .object([.init("error", .string(sentence))]))
    }
}
