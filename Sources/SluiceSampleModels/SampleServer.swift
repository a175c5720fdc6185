package import SluiceCore
import SluiceGRPC
package import SluiceHTTP
package import SluiceIO
import SluiceInference
package import SluiceIngress

/// How the sample server misbehaves, and what it tells.
package struct SampleServerOptions {
    /// Time one prediction takes.
    package var delay = Duration.zero
    /// Up to so much more, at random.
    package var jitter = Duration.zero
    /// The share of predictions that fail with 500 / INTERNAL, 0...1.
    package var failRate = 0.0
    /// Predictions at once; 0 means no limit.
    package var concurrency = 0
    /// Time after the start during which it isn't ready.
    package var unreadyFor = Duration.zero
    /// Where the identifiers of its predictions go.
    package var journal: PredictionJournal?

    /// A server that behaves.
    package init() {}
}

/// The sample models behind REST and gRPC, on one loop.
package final class SampleServer: RequestHandler, TimerTarget {
    private final class Job {
        let exchange: Exchange
        let path: [UInt8]
        let method: GRPCMethod
        let isGRPC: Bool
        let headerLength: Int?
        let requestID: [UInt8]
        var body: [UInt8] = []
        var hasEnded = false
        var hasBegun = false
        var isWaiting = false
        var isRunning = false
        var timer = TimerID.none

        init(
            _ exchange: Exchange,
            path: [UInt8],
            method: GRPCMethod,
            isGRPC: Bool,
            headerLength: Int?,
            requestID: [UInt8]
        ) {
            self.exchange = exchange
            self.path = path
            self.method = method
            self.isGRPC = isGRPC
            self.headerLength = headerLength
            self.requestID = requestID
        }
    }

    private let loop: EventLoop
    private let arena: HTTPArena
    private let service: SampleService
    private let options: SampleServerOptions
    private var gate: CapacityGate
    private var random: RandomSource
    private var jobs: [UInt: Job] = [:]
    private var nextTicket: UInt = 1
    private let started: Instant
    private var listeners: [IngressListener] = []
    /// Predictions asked for so far.
    package private(set) var predictionCount = 0

    private static let bodyMaximum = 512 << 20

    /// A server without listeners.
    package init(
        loop: EventLoop,
        service: SampleService,
        options: SampleServerOptions,
        seed: UInt64
    ) {
        self.loop = loop
        self.service = service
        self.options = options
        arena = HTTPArena(buffers: loop.buffers)
        gate = CapacityGate(capacity: options.concurrency)
        random = RandomSource(seed: seed)
        started = loop.now
    }

    /// Serves on `address`; returns where, with the port the kernel chose.
    package func listen(on address: SocketAddress) throws(KernelFailure) -> SocketAddress {
        var limits = IngressLimits()
        limits.maxConcurrentStreams = 1024
        limits.idleTimeout = .seconds(3600)
        let listener = try IngressListener(
            loop: loop,
            arena: arena,
            address: address,
            name: "model",
            tls: nil,
            limits: limits,
            count: ConnectionCount(maximum: 65_536),
            sharesPort: false,
            handler: self
        ) { _ in }
        listeners.append(listener)
        listener.start()
        return listener.address ?? address
    }

    /// Closes everything at once.
    package func closeAll() {
        for listener in listeners { listener.closeAll() }
        // They hold the server as it holds them.
        listeners.removeAll()
    }

    private var isReady: Bool { loop.now - started >= options.unreadyFor }

    // MARK: - Requests

    package func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool) {
        let path = unsafe head.first(.path).map { unsafe [UInt8]($0) } ?? []
        let isGRPC =
            unsafe head.first(.contentType).map {
                unsafe MediaType.isGRPC($0)
            } ?? false
        let method = unsafe path.withUnsafeBytes { unsafe GRPCMethod.lookup($0) }
        let headerLength = unsafe head.first(.inferenceHeaderContentLength).flatMap {
            unsafe ASCII.decimal($0)
        }
        let requestID =
            options.journal == nil
            ? [] : unsafe head.first(.requestID).map { unsafe [UInt8]($0) } ?? []
        arena.blocks.give(head)
        let job = Job(
            exchange,
            path: path,
            method: method,
            isGRPC: isGRPC,
            headerLength: headerLength,
            requestID: requestID
        )
        let ticket = nextTicket
        nextTicket += 1
        jobs[ticket] = job
        unsafe exchange.context = UnsafeMutableRawPointer(bitPattern: ticket)
        exchange.sendContinue()
        job.hasEnded = endStream
        if endStream { advance(ticket, job) }
    }

    package func requestOversized(_ exchange: Exchange, _ head: FieldBlock) {
        arena.blocks.give(head)
        exchange.abort(.enhanceYourCalm)
    }

    package func requestBody(
        _ exchange: Exchange,
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool
    ) {
        guard let (ticket, job) = job(of: exchange) else { return }
        unsafe job.body.append(contentsOf: bytes)
        exchange.consumed(bytes.count)
        if job.body.count > SampleServer.bodyMaximum {
            jobs[ticket] = nil
            exchange.abort(.enhanceYourCalm)
            return
        }
        job.hasEnded = endStream
        if endStream || job.method == .modelStreamInfer { advance(ticket, job) }
    }

    package func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock) {
        arena.blocks.give(trailers)
        guard let (ticket, job) = job(of: exchange) else { return }
        job.hasEnded = true
        advance(ticket, job)
    }

    package func requestAborted(_ exchange: Exchange, _ reason: AbortReason) {
        guard let (ticket, job) = job(of: exchange) else { return }
        jobs[ticket] = nil
        loop.cancelTimer(&job.timer)
        if job.isWaiting {
            _ = gate.cancel(ticket)
        } else if job.isRunning {
            leaveGate()
        }
    }

    package func responseDrained(_ exchange: Exchange, _ count: Int) {}

    package func requestUnreadable(
        _ connection: ServerConnection,
        status: Int,
        sentence: StaticString
    ) {}

    private func job(of exchange: Exchange) -> (UInt, Job)? {
        guard let context = unsafe exchange.context else { return nil }
        let ticket = UInt(bitPattern: context)
        return jobs[ticket].map { (ticket, $0) }
    }

    // MARK: - Work

    /// Does the next thing this job is ready for.
    private func advance(_ ticket: UInt, _ job: Job) {
        guard !job.isRunning, !job.isWaiting else { return }
        if job.method == .modelStreamInfer, job.isGRPC {
            guard hasMessage(job) else {
                if job.hasEnded { finishStream(ticket, job) }
                return
            }
        }
        guard isPrediction(job) else {
            answer(ticket, job)
            return
        }
        predictionCount += 1
        options.journal?.note(job.requestID)
        if gate.enter(ticket) { run(ticket, job) } else { job.isWaiting = true }
    }

    private func isPrediction(_ job: Job) -> Bool {
        job.isGRPC
            ? job.method == .modelInfer || job.method == .modelStreamInfer
            : job.path.count > 4
                && (job.path.suffix(6) == Array("/infer".utf8)[...]
                    || job.path.suffix(8) == Array(":predict".utf8)[...]
                    || job.path.suffix(10) == Array("%3Apredict".utf8)[...])
    }

    private func run(_ ticket: UInt, _ job: Job) {
        job.isWaiting = false
        job.isRunning = true
        var time = options.delay
        if options.jitter > .zero {
            time += .nanoseconds(
                Int64(random.next(below: Int(options.jitter.nanoseconds) + 1))
            )
        }
        if time > .zero {
            job.timer = loop.setTimer(after: time, target: self, tag: ticket)
        } else {
            finishRun(ticket, job)
        }
    }

    package func timerFired(_ tag: UInt, at now: Instant) {
        guard let job = jobs[tag] else { return }
        job.timer = .none
        finishRun(tag, job)
    }

    private func finishRun(_ ticket: UInt, _ job: Job) {
        job.isRunning = false
        let fails =
            options.failRate > 0
            && Double(random.next(below: 1_000_000)) < options.failRate * 1_000_000
        if fails { refuse(ticket, job) } else { answer(ticket, job) }
        leaveGate()
    }

    private func leaveGate() {
        guard let next = gate.leave(), let job = jobs[next] else { return }
        run(next, job)
    }

    // MARK: - Answers

    private func answer(_ ticket: UInt, _ job: Job) {
        job.isGRPC ? answerGRPC(ticket, job) : answerREST(ticket, job)
    }

    private func answerREST(_ ticket: UInt, _ job: Job) {
        if job.path == Array("/metrics".utf8) {
            let text = """
                # HELP sluice_model_predictions_total Predictions asked for.
                # TYPE sluice_model_predictions_total counter
                sluice_model_predictions_total \(predictionCount)
                # HELP sluice_model_rows_total Rows that predictions were asked for.
                # TYPE sluice_model_rows_total counter
                sluice_model_rows_total \(service.rows.count)

                """
            sendREST(
                ticket,
                job,
                SampleAnswer(contentType: "text/plain; version=0.0.4", body: Array(text.utf8))
            )
            return
        }
        let path = unsafe job.path.withUnsafeBytes { raw in
            unsafe InferencePath.name(raw)
        }
        sendREST(
            ticket,
            job,
            service.answer(
                path: path,
                body: job.body,
                headerLength: job.headerLength,
                isReady: isReady
            )
        )
    }

    private func sendREST(_ ticket: UInt, _ job: Job, _ answer: SampleAnswer) {
        jobs[ticket] = nil
        let head = arena.blocks.take()
        head.append(status: answer.status)
        head.append(.contentType, answer.contentType)
        head.append(.contentLength, decimal: answer.body.count)
        if let length = answer.headerLength {
            head.append(.inferenceHeaderContentLength, decimal: length)
        }
        unsafe job.exchange.context = nil
        job.exchange.sendHead(head, endStream: answer.body.isEmpty)
        guard !answer.body.isEmpty else { return }
        unsafe answer.body.withUnsafeBytes { unsafe _ = job.exchange.send($0, endStream: true) }
    }

    private func refuse(_ ticket: UInt, _ job: Job) {
        if job.isGRPC {
            finish(ticket, job, .internal, "this failure was asked for (--fail-rate)")
        } else {
            sendREST(
                ticket,
                job,
                .error(500, "this failure was asked for (--fail-rate)")
            )
        }
    }

    private func hasMessage(_ job: Job) -> Bool {
        guard job.body.count >= 5 else { return false }
        return job.body.count >= 5 + messageLength(job)
    }

    private func messageLength(_ job: Job) -> Int {
        job.body[1..<5].reduce(0) { $0 << 8 | Int($1) }
    }

    private func answerGRPC(_ ticket: UInt, _ job: Job) {
        guard hasMessage(job) else {
            finish(ticket, job, .invalidArgument, "the request has no complete message")
            return
        }
        let end = 5 + messageLength(job)
        let message = Array(job.body[5..<end])
        switch service.answer(job.method, message, isReady: isReady) {
        case .success(let bytes):
            begin(job)
            var framed: [UInt8] = [0]
            let length = UInt32(bytes.count)
            for shift in [24, 16, 8, 0] {
                framed.append(UInt8(truncatingIfNeeded: length >> shift))
            }
            framed += bytes
            unsafe framed.withUnsafeBytes { unsafe _ = job.exchange.send($0, endStream: false) }
            if job.method == .modelStreamInfer {
                job.body.removeFirst(end)
                advance(ticket, job)
            } else {
                finish(ticket, job, .ok, "")
            }
        case .failure(let status): finish(ticket, job, status.code, status.sentence)
        }
    }

    private func finishStream(_ ticket: UInt, _ job: Job) {
        job.body.isEmpty
            ? finish(ticket, job, .ok, "")
            : finish(ticket, job, .invalidArgument, "the stream ended inside a message")
    }

    private func begin(_ job: Job) {
        guard !job.hasBegun else { return }
        job.hasBegun = true
        let head = arena.blocks.take()
        head.append(status: 200)
        head.append(.contentType, "application/grpc")
        job.exchange.sendHead(head, endStream: false)
    }

    private func finish(_ ticket: UInt, _ job: Job, _ status: GRPCStatus, _ sentence: String) {
        jobs[ticket] = nil
        let block = arena.blocks.take()
        if !job.hasBegun {
            block.append(status: 200)
            block.append(.contentType, "application/grpc")
        }
        block.append(.grpcStatus, decimal: status.rawValue)
        if !sentence.isEmpty {
            block.append(.grpcMessage, text: StatusMessage.encode(sentence))
        }
        unsafe job.exchange.context = nil
        if job.hasBegun {
            job.exchange.sendTrailers(block)
        } else {
            job.exchange.sendHead(block, endStream: true)
        }
    }
}
