import SluiceConfiguration
package import SluiceControl
import SluiceCore
package import SluiceHTTP
package import SluiceIO
package import SluiceIngress
import SluiceTelemetry
import SluiceWire

/// The admin port: health, metrics, state and its changes, over HTTP on the control loop.
///
/// Calls are listed in ``routes``, one file for each group of them. A call that changes something
/// goes to the change coordinator and is answered when every worker has it.
package final class AdminServer: RequestHandler {
    let loop: EventLoop
    let runtime: GatewayRuntime
    private let arena: HTTPArena
    private var listeners: [IngressListener] = []
    private var requests: [UInt: Call] = [:]
    private var nextKey: UInt = 1
    let live: LiveStats
    let stream: StateStream
    let state: GatewayState
    private lazy var routes: [AdminRoute] =
        pageRoutes + observationRoutes + liveRoutes + modelRoutes + trafficRoutes + canaryRoutes
        + cacheRoutes + warmRoutes + configurationRoutes

    private struct Call {
        let exchange: Exchange
        var request: AdminRequest
    }

    /// Bytes that a call's body may have.
    static let bodyMaximum = 1 << 20

    /// A server without a socket.
    package init(loop: EventLoop, runtime: GatewayRuntime) {
        self.loop = loop
        self.runtime = runtime
        arena = HTTPArena(buffers: loop.buffers)
        let live = LiveStats(loop: loop, store: runtime.store) { runtime.snapshot }
        let state = GatewayState(runtime, live)
        let stream = StateStream(loop: loop, source: state)
        self.live = live
        self.state = state
        self.stream = stream
        live.onReading = { [unowned stream] in stream.publish() }
        // Used on this loop only; the coordinator merely carries them.
        let kept = Confined((live: live, stream: stream))
        let handle = loop.handle
        runtime.coordinator.observe { _ in handle.submit { kept.value.stream.changed() } }
        // Scrapes are answered on this loop, too.
        runtime.store.collect { sink in
            let stream = kept.value.stream
            sink.gauge(AdminMetrics.streamListeners, value: Double(stream.count))
            sink.counter(
                AdminMetrics.streamFramesSkipped,
                value: Double(stream.skippedFrames)
            )
            sink.counter(AdminMetrics.streamBytes, value: Double(stream.sentBytes))
        }
    }

    /// Serves on `address`, and on those before; returns where, with the port the kernel chose.
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
        listeners.append(made)
        made.start()
        return made.address ?? address
    }

    /// Closes the port; whoever listens to the stream is told that it ends.
    package func close() {
        live.close()
        stream.close()
        for listener in listeners { listener.drain(isFinal: true) }
    }

    // MARK: - Requests

    package func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool) {
        let client = unsafe String(decoding: exchange.clientText, as: UTF8.self)
        let key = nextKey
        nextKey += 1
        requests[key] = Call(exchange: exchange, request: AdminRequest(head, client: client))
        arena.blocks.give(head)
        unsafe exchange.context = UnsafeMutableRawPointer(bitPattern: key)
        if endStream { answer(key) } else { exchange.sendContinue() }
    }

    package func requestOversized(_ exchange: Exchange, _ head: FieldBlock) {
        arena.blocks.give(head)
        send(AdminError(431, "the request's head is too large").reply, on: exchange)
    }

    package func requestBody(
        _ exchange: Exchange,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) {
        exchange.consumed(bytes.count)
        guard let key = unsafe exchange.context.map({ UInt(bitPattern: $0) }),
            var call = requests.removeValue(forKey: key)
        else { return }
        if call.request.body.count + bytes.count <= AdminServer.bodyMaximum {
            unsafe call.request.body.append(contentsOf: bytes)
        } else {
            call.request.isOversized = true
        }
        requests[key] = call
        if endStream { answer(key) }
    }

    package func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock) {
        arena.blocks.give(trailers)
        if let context = unsafe exchange.context { answer(UInt(bitPattern: context)) }
    }

    package func requestAborted(_ exchange: Exchange, _ reason: AbortReason) {
        guard let context = unsafe exchange.context else { return }
        requests[UInt(bitPattern: context)] = nil
        stream.left(UInt(bitPattern: context))
    }

    package func responseDrained(_ exchange: Exchange, _ count: Int) {
        if let context = unsafe exchange.context {
            stream.drained(UInt(bitPattern: context), count)
        }
    }

    package func requestUnreadable(
        _ connection: ServerConnection,
        status: Int,
        sentence: StaticString
    ) {}

    // MARK: - Answers

    private func answer(_ key: UInt) {
        guard let request = requests[key]?.request else { return }
        do throws(AdminError) {
            try handle(request) { [weak self] reply in self?.finish(key, reply) }
        } catch {
            finish(key, error.reply)
        }
    }

    private func handle(
        _ request: AdminRequest,
        _ respond: @escaping AdminRoute.Respond
    ) throws(AdminError) {
        guard !request.isOversized else {
            throw AdminError(413, "a call's body has at most \(AdminServer.bodyMaximum) bytes")
        }
        let method = request.method == "HEAD" ? "GET" : request.method
        var allowed: [String] = []
        let access = runtime.coordinator.access
        for route in routes {
            guard let values = route.match(request.segments) else { continue }
            guard route.method == method else {
                allowed.append(route.method)
                continue
            }
            if route.changesState, request.isFromAnotherSite {
                throw AdminError(403, "a page of another site may not change anything here")
            }
            // Metrics and health are scraped by whatever name the gateway has.
            // No page of a browser reaches a socket's file.
            if !route.changesState, route.pattern.hasPrefix("/api/"), !request.isFromSocketFile,
                !HostName.isOurs(request.host, admin: runtime.configuration.admin.address.host),
                !(access.asksForToken && access.allows(request.authorization))
            {
                throw AdminError(
                    403,
                    "this is read by the gateway's address, localhost or a name of a private network; by another name it takes the token of `admin.tokenFile`"
                )
            }
            if route.changesState, request.isFromNamedSite, !runtime.coordinator.access.asksForToken
            {
                throw AdminError(
                    403,
                    "a browser may change something by the gateway's address or localhost; by another name it takes `admin.tokenFile`"
                )
            }
            if route.changesState, !runtime.coordinator.access.allows(request.authorization) {
                var reply = AdminError(
                    401,
                    "this call takes the token of `admin.tokenFile`, as `authorization: Bearer TOKEN`"
                ).reply
                reply.fields = [("www-authenticate", "Bearer realm=\"sluice\"")]
                respond(reply)
                return
            }
            try route.handler(request, values, respond)
            return
        }
        guard allowed.isEmpty else {
            let methods = allowed.joined(separator: ", ")
            var reply = AdminError(405, "this path takes \(methods)").reply
            reply.fields = [("allow", methods)]
            respond(reply)
            return
        }
        throw AdminError(
            404,
            "no such path; there are "
                + Set(routes.map(\.pattern)).sorted().joined(separator: ", ")
        )
    }

    /// Sends the answer, unless the caller has gone.
    private func finish(_ key: UInt, _ reply: AdminReply) {
        guard let call = requests.removeValue(forKey: key) else { return }
        if let view = reply.view, call.request.method == "GET" {
            call.exchange.sendHead(head(of: reply), endStream: false)
            let request = call.request
            let known = request.lastEventID ?? request.query["lastEventId"]
            stream.add(call.exchange, key: key, view: view, known: known)
        } else {
            send(reply, on: call.exchange)
        }
    }

    private func head(of reply: AdminReply) -> FieldBlock {
        let head = arena.blocks.take()
        head.append(status: reply.status)
        // An answer without content doesn't describe it (RFC 9110 §15.4.5).
        if reply.status != 304 { head.append(.contentType, reply.type) }
        if reply.status != 304, reply.view == nil {
            head.append(.contentLength, decimal: reply.body.count)
        }
        for (name, value) in reply.fields { head.append(named: name, text: value) }
        return head
    }

    private func send(_ reply: AdminReply, on exchange: Exchange) {
        unsafe exchange.context = nil
        exchange.sendHead(head(of: reply), endStream: reply.body.isEmpty)
        if !reply.body.isEmpty {
            unsafe reply.body.withUnsafeBytes { unsafe _ = exchange.send($0, endStream: true) }
        }
    }

    // MARK: - Changes

    /// Hands a change to the coordinator; what it says is answered on this loop.
    func change(
        _ change: Change,
        by who: String,
        _ respond: @escaping AdminRoute.Respond,
        _ describe: @escaping @Sendable (Applied) -> AdminReply
    ) {
        // Used on this loop only; the coordinator merely carries them.
        let kept = Confined((loop: loop, respond: respond))
        let handle = loop.handle
        runtime.coordinator.submit(change, by: who) { result in
            let reply: AdminReply
            switch result {
            case .success(let applied): reply = describe(applied)
            case .failure(let refusal): reply = AdminServer.reply(to: refusal)
            }
            handle.submit { kept.value.respond(reply) }
        }
    }

    static func reply(to refusal: ChangeError) -> AdminReply {
        let status =
            switch refusal.kind {
            case .unknown: 404
            case .invalid: 400
            case .conflict: 409
            case .busy: 503
            }
        var members: [JSONValue.Member] = [.init("error", .string(refusal.sentence))]
        if !refusal.diagnostics.isEmpty {
            members.append(
                .init(
                    "diagnostics",
                    .array(
                        refusal.diagnostics.map {
                            .object([
                                .init("file", .string($0.file)),
                                .init("line", .number("\($0.line)")),
                                .init("column", .number("\($0.column)")),
                                .init("message", .string($0.message)),
                            ])
                        }
                    )
                )
            )
        }
        return AdminReply(status, .object(members))
    }
}
