import SluiceConfiguration
package import SluiceControl
import SluiceCore
import SluiceGateway
package import SluiceHTTP
package import SluiceIO
package import SluiceIngress
import SluiceTelemetry
import SluiceWire

/// The admin port: health, metrics and state, over HTTP on the control loop.
package final class AdminServer: RequestHandler {
    private struct Request {
        var method: String
        var path: String
        var query: String
        var accept: String
        var ifNoneMatch: String
        var hasEnded: Bool
    }

    private let loop: EventLoop
    private let arena: HTTPArena
    private let runtime: GatewayRuntime
    private let reload: @Sendable () -> Void
    private var listener: IngressListener?
    private var requests: [UInt: Request] = [:]
    private var nextKey: UInt = 1
    private let board: LiveBoard
    private let stream: StateStream

    /// A server without a socket; `reload` starts one elsewhere, for this loop must not block.
    package init(loop: EventLoop, runtime: GatewayRuntime, reload: @escaping @Sendable () -> Void) {
        self.loop = loop
        self.runtime = runtime
        self.reload = reload
        let board = LiveBoard(loop: loop, store: runtime.store) { runtime.snapshot }
        let started = loop.now
        let startedAt = loop.kernel.wallClock() / 1_000_000
        self.board = board
        stream = StateStream {
            GatewayState.json(
                runtime,
                board.history.present,
                startedAt: startedAt,
                uptime: loop.now - started,
                now: loop.kernel.wallClock() / 1_000_000
            )
        } events: { _ in
            ([], 0)
        }
        arena = HTTPArena(buffers: loop.buffers)
        board.onReading = { [unowned self] in stream.publish() }
    }

    /// Serves on `address`; returns where, with the port the kernel chose.
    package func listen(on address: SocketAddress) throws(KernelFailure) -> SocketAddress {
        let made = try IngressListener(
            loop: loop,
            arena: arena,
            address: address,
            name: "admin",
            tls: nil,
            limits: IngressLimits(),
            count: ConnectionCount(maximum: 1000),
            sharesPort: false,
            handler: self
        ) { _ in }
        listener = made
        made.start()
        return made.address ?? address
    }

    /// Closes the port.
    package func close() {
        board.close()
        stream.end()
        listener?.closeAll()
    }

    // MARK: - Requests

    package func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool) {
        let key = nextKey
        nextKey += 1
        let path = head.text(.path) ?? "/"
        requests[key] = Request(
            method: head.text(.method) ?? "",
            path: String(path.prefix { $0 != "?" }),
            query: String(path.drop { $0 != "?" }.dropFirst()),
            accept: head.text(.accept) ?? "",
            ifNoneMatch: head.text(named: "if-none-match") ?? "",
            hasEnded: endStream
        )
        arena.blocks.give(head)
        unsafe exchange.user = UnsafeMutableRawPointer(bitPattern: key)
        if endStream { answer(exchange) }
    }

    package func requestOversized(_ exchange: Exchange, _ head: FieldBlock) {
        arena.blocks.give(head)
        reply(exchange, 431, error("the request's head is too large"))
    }

    package func requestBody(
        _ exchange: Exchange,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) {
        exchange.consumed(bytes.count)
        if endStream { answer(exchange) }
    }

    package func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock) {
        arena.blocks.give(trailers)
        answer(exchange)
    }

    package func requestAborted(_ exchange: Exchange, _ reason: AbortReason) {
        guard let user = unsafe exchange.user else { return }
        requests[UInt(bitPattern: user)] = nil
        stream.left(UInt(bitPattern: user))
    }

    package func responseDrained(_ exchange: Exchange, _ count: Int) {
        if let user = unsafe exchange.user { stream.drained(UInt(bitPattern: user), count) }
    }

    package func requestUnreadable(
        _ connection: ServerConnection,
        status: Int,
        sentence: StaticString
    ) {}

    private func answer(_ exchange: Exchange) {
        guard let user = unsafe exchange.user,
            let request = requests.removeValue(forKey: UInt(bitPattern: user))
        else { return }
        let isGet = request.method == "GET" || request.method == "HEAD"
        switch request.path {
        case "/api/v1/reload":
            guard request.method == "POST" else {
                reply(exchange, 405, error("this path takes POST"), allow: "POST")
                return
            }
            reload()
            reply(exchange, 202, .object([.init("status", .string("reloading"))]))
            return
        case let path where path.hasPrefix("/api/v1/models/") && path.hasSuffix("/cache"):
            guard request.method == "DELETE" else {
                reply(exchange, 405, error("this path takes DELETE"), allow: "DELETE")
                return
            }
            purge(exchange, path, request.query)
            return
        default:
            guard isGet else {
                reply(exchange, 405, error("this path takes GET"), allow: "GET")
                return
            }
        }
        if let file = DashboardPage.file(at: request.path) {
            reply(exchange, file, ifNoneMatch: request.ifNoneMatch)
            return
        }
        switch request.path {
        case "/api/v1/stream": beginStream(exchange, key: UInt(bitPattern: user), request)
        case "/healthz": reply(exchange, 200, .object([.init("alive", .bool(true))]))
        case "/readyz":
            let ready = runtime.isReady
            reply(exchange, ready ? 200 : 503, .object([.init("ready", .bool(ready))]))
        case "/metrics": metrics(exchange, accept: request.accept)
        case "/api/v1/models":
            reply(exchange, 200, StatusBoard.models(runtime.snapshot, board.history.present))
        case "/api/v1/config":
            reply(
                exchange,
                200,
                Array(runtime.configuration.yamlText.utf8),
                type: "application/yaml"
            )
        default:
            if request.path.hasPrefix("/api/v1/models/") {
                model(exchange, String(request.path.dropFirst("/api/v1/models/".count)))
            } else {
                reply(
                    exchange,
                    404,
                    error(
                        "no such path; there are /healthz, /readyz, /metrics, /api/v1/models, /api/v1/models/NAME/cache, /api/v1/config and /api/v1/reload"
                    )
                )
            }
        }
    }

    private func model(_ exchange: Exchange, _ name: String) {
        if name.hasSuffix("/history") {
            let name = String(name.dropLast("/history".count))
            if let model = runtime.snapshot.models.first(where: { $0.name == name }) {
                let past = board.history.past(of: name, revisions: model.revisions.map(\.name))
                reply(exchange, 200, past.json)
                return
            }
        }
        guard let model = runtime.snapshot.models.first(where: { $0.name == name }) else {
            reply(exchange, 404, error("unknown model '\(name)'"))
            return
        }
        reply(exchange, 200, StatusBoard.model(model, board.history.present))
    }

    private func beginStream(_ exchange: Exchange, key: UInt, _ request: Request) {
        guard stream.hasRoom else {
            reply(
                exchange,
                503,
                error("\(StateStream.maximum) listeners have the stream already; close a page")
            )
            return
        }
        let head = arena.blocks.take()
        head.append(status: 200)
        head.append(.contentType, "text/event-stream")
        head.append(.cacheControl, "no-store")
        // Proxies that buffer answers would hold each second back until many have passed.
        head.append(named: "x-accel-buffering", text: "no")
        guard request.method == "GET" else {
            unsafe exchange.user = nil
            exchange.sendHead(head, endStream: true)
            return
        }
        exchange.sendHead(head, endStream: false)
        stream.add(exchange, key: key)
    }

    private func reply(
        _ exchange: Exchange,
        _ file: DashboardPage.File,
        ifNoneMatch: String
    ) {
        let isKnown = file.isNamed(by: ifNoneMatch)
        let head = arena.blocks.take()
        head.append(status: isKnown ? 304 : 200)
        if !isKnown {
            head.append(.contentType, file.type)
            head.append(.contentLength, decimal: file.body.count)
        }
        head.append(named: "etag", text: file.entityTag)
        for (name, value) in DashboardPage.fields {
            head.append(named: "\(name)", text: "\(value)")
        }
        unsafe exchange.user = nil
        exchange.sendHead(head, endStream: isKnown)
        if !isKnown {
            unsafe file.body.withUnsafeBytes { unsafe _ = exchange.send($0, endStream: true) }
        }
    }

    /// `DELETE /api/v1/models/{m}/cache[?revision=R]`.
    private func purge(_ exchange: Exchange, _ path: String, _ query: String) {
        let name = path.dropFirst("/api/v1/models/".count).dropLast("/cache".count)
        guard query.isEmpty || query.hasPrefix("revision=") else {
            reply(exchange, 400, error("the only parameter is revision, as in ?revision=v2"))
            return
        }
        let revision = query.isEmpty ? nil : String(query.dropFirst("revision=".count))
        guard let count = runtime.purge(model: String(name), revision: revision) else {
            reply(
                exchange,
                404,
                error("unknown model '\(name)'" + (revision.map { ", or revision '\($0)'" } ?? ""))
            )
            return
        }
        reply(exchange, 200, .object([.init("purged", .number("\(count)"))]))
    }

    private func metrics(_ exchange: Exchange, accept: String) {
        let format = ExpositionFormat.preferred(byAccept: accept)
        var text = ByteBuffer(pool: loop.buffers)
        runtime.store.write(as: format, into: &text)
        unsafe reply(exchange, 200, [UInt8](text.bytes), type: format.contentType)
    }

    // MARK: - Answers

    private func error(_ sentence: String) -> JSONValue {
        .object([.init("error", .string(sentence))])
    }

    private func reply(
        _ exchange: Exchange,
        _ status: Int,
        _ value: JSONValue,
        allow: StaticString? = nil
    ) {
        reply(exchange, status, value.serialized, type: "application/json", allow: allow)
    }

    private func reply(
        _ exchange: Exchange,
        _ status: Int,
        _ body: [UInt8],
        type: StaticString,
        allow: StaticString? = nil
    ) {
        let head = arena.blocks.take()
        head.append(status: status)
        head.append(.contentType, type)
        head.append(.contentLength, decimal: body.count)
        if let allow { head.append(.allow, allow) }
        unsafe exchange.user = nil
        exchange.sendHead(head, endStream: body.isEmpty)
        if !body.isEmpty {
            unsafe body.withUnsafeBytes { unsafe _ = exchange.send($0, endStream: true) }
        }
    }
}
