import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress

// The head of an attempt: the client's, turned into the one that goes to the backend.
extension Worker {
    /// Sends the head: by its name if one like it went over the connection before, else the long way.
    func beginCall(
        _ request: Request,
        _ head: FieldBlock,
        on connection: ClientConnection,
        endStream: Bool
    ) -> Call? {
        let keeps = unsafe request.pointee.retry.isKept
        let name = unsafe nameOfRequest(request, head)
        let maximum = connection.headListMaximum
        // What is added to a head has room behind it; one that comes near the limit is measured.
        if !name.isNone, maximum == .max || head.listSizeBound + 4_096 <= maximum {
            let call = unsafe connection.begin(
                repeating: RepeatedHead(name: name, block: head, added: request.requestID),
                endStream: endStream,
                context: UnsafeMutableRawPointer(request)
            )
            if let call {
                unsafe request.pointee.retry.isAsItCame = keeps
                if !keeps { blocks.give(head) }
                return call
            }
        }
        unsafe request.pointee.retry.isAsItCame = false
        var (outgoing, isCopy) = (head, false)
        unsafe request.pointee.attempt.backend?._withUnsafeGuaranteedRef { backend in
            unsafe backend.route(request.backendProtocol)?._withUnsafeGuaranteedRef {
                if unsafe request.pointee.retry.isPrepared {
                    unsafe readdress(head, request, $0)
                } else {
                    unsafe prepare(head, request, $0)
                    if unsafe request.pointee.retry.seenCount > 0,
                        unsafe request.backendProtocol == .grpc
                    {
                        unsafe nameAttempts(head, request)
                    }
                }
            }
            if let additions = backend.additions {
                // What is kept for another backend never has what is this one's.
                if keeps { (outgoing, isCopy) = (copy(head), true) }
                additions.put(into: outgoing, isGRPC: unsafe request.backendProtocol == .grpc)
            }
        }
        if maximum < .max, outgoing.listSize > maximum {
            let errorReply = ErrorReply.headTooLarge(outgoing.listSize, maximum: maximum)
            if !keeps || isCopy { blocks.give(outgoing) }
            // Those who wait for the same have heads of their own.
            unsafe passOnCall(of: request)
            unsafe replyWithError(request, errorReply)
            return nil
        }
        outgoing.repeatName = name
        let call = unsafe connection.begin(
            outgoing,
            endStream: endStream,
            keepsHead: keeps && !isCopy,
            context: UnsafeMutableRawPointer(request)
        )
        if call == nil { unsafe replyWithError(request, .overloaded("the connection")) }
        return call
    }

    /// What the head is called as it goes to the request's backend; nothing where that hangs on more than the
    /// head as it came and the backend.
    private func nameOfRequest(_ request: Request, _ head: FieldBlock) -> HeadName {
        let name = head.repeatName
        guard !name.isNone, let backend = unsafe request.pointee.attempt.backend,
            unsafe !request.pointee.isTranslated, unsafe !request.pointee.isInternal,
            unsafe !request.pointee.retry.isPrepared, unsafe request.pointee.retry.seenCount == 0,
            // Of a REST request `prepare` notes what its body is said to be.
            unsafe request.backendProtocol == .grpc, head.index(of: .contentEncoding) == nil,
            head.index(of: .inferenceHeaderContentLength) == nil,
            // What is left of the caller's time is written into the head in its place.
            head.index(of: .grpcTimeout) == nil,
            // A copy for another backend is made of the head as it goes out.
            unsafe request.pointee.revision?._withUnsafeGuaranteedRef({ $0.balance.hedge == nil })
                == true
        else { return .none }
        return unsafe backend._withUnsafeGuaranteedRef {
            // Fields of its own are put into each head anew.
            $0.additions == nil ? name.used(as: $0.use + HeadUse.request) : .none
        }
    }

    /// Turns the client's head into ours (RFC 9110 §7.6): what belongs to one hop goes, what
    /// intermediaries owe comes, the rest stays as it is.
    func prepare(_ head: FieldBlock, _ request: Request, _ route: BackendRoute) {
        let exchange = unsafe request.pointee.exchange
        let isGRPC = unsafe request.backendProtocol == .grpc
        var forwardedFor: Int?
        var hasRequestID = false
        var acceptsTrailers = false
        var isBinary = false
        let taken = GatewayFields.ofRequests
        for index in 0..<head.count {
            let name = head[index].name
            if taken.contains(name) {
                head.remove(at: index)
                continue
            }
            switch name {
            case .transferCodings:
                if isGRPC { acceptsTrailers = true } else { head.remove(at: index) }
            case .forwardedFor: forwardedFor = index
            case .requestID:
                hasRequestID = true
                head.markVolatile(at: index)
            // Ours to say.
            case .sluiceMirror:
                if unsafe !request.pointee.isInternal { head.remove(at: index) }
            case .contentLength, .traceparent: head.markVolatile(at: index)
            case .contentEncoding:
                unsafe request.pointee.isCoded = NamedCoding(head, .contentEncoding) != .none
            case .inferenceHeaderContentLength:
                if !head[index].isRemoved { isBinary = true }
                unsafe request.replay.pointee.headerLength =
                    ASCII.decimal(head.value(of: head[index])) ?? -2
            case .path:
                if let parts = unsafe request.existing(PathParts.self),
                    unsafe parts.pointee.prefixLength > 0
                {
                    unsafe rewritePath(head, &parts.pointee)
                }
            default: break
            }
        }
        if let authority = unsafe head.first(.authority) {
            unsafe head.append(.forwardedHost, authority)
        }
        unsafe head.set(.authority, route.authority.bytes)
        let scheme: StaticString = route.isSecure ? "https" : "http"
        unsafe head.set(.scheme, scheme.utf8Bytes)
        if let forwardedFor, let before = text(of: head, at: forwardedFor) {
            head.remove(at: forwardedFor)
            let client = unsafe String(decoding: exchange.clientText, as: UTF8.self)
            head.append(.forwardedFor, text: "\(before), \(client)")
        } else {
            unsafe head.append(.forwardedFor, exchange.clientText)
        }
        if let identity = unsafe exchange.clientIdentity {
            unsafe head.append(.forwardedClientCert, identity)
        }
        head.append(.forwardedProto, exchange.isSecure ? "https" : "http")
        head.append(.via, exchange.isHTTP2 ? "2 sluice" : "1.1 sluice")
        if !hasRequestID {
            unsafe head.append(.requestID, request.requestID, isVolatile: true)
        }
        if isGRPC {
            // gRPC servers refuse calls without it.
            if !acceptsTrailers { head.append(.transferCodings, "trailers") }
            unsafe writeTimeout(head, request)
        }
        if unsafe !isGRPC && request.pointee.operation.isPrediction {
            unsafe nameType(of: head, request, isBinary)
        }
        unsafe renameModel(head, request)
    }

    /// Says what a prediction's body is where its caller didn't, or left what its tool says of any body.
    ///
    /// Runtimes go by it: FastAPI's read JSON as JSON only by its own type, and KServe's binary tensors by
    /// any other. Under V1 a text may be what the model takes, so that goes on as it is.
    private func nameType(of head: FieldBlock, _ request: Request, _ isBinary: Bool) {
        if let type = unsafe head.first(.contentType) {
            let isWrong =
                unsafe MediaType.names(type, "application/x-www-form-urlencoded")
                || request.pointee.operation == .v2Infer && MediaType.names(type, "text/plain")
                || isBinary && MediaType.names(type, "application/json")
            guard isWrong else {
                unsafe request.pointee.retry.isForeign = !Worker.mayBeJSON(type)
                return
            }
            head.remove(.contentType)
        }
        head.append(.contentType, isBinary ? "application/octet-stream" : "application/json")
    }

    private func text(of head: FieldBlock, at index: Int) -> String? {
        unsafe String(decoding: head.value(of: head[index]), as: UTF8.self)
    }

    /// Tells the backend how much of the caller's time is left (gRPC: per attempt).
    func writeTimeout(_ head: FieldBlock, _ request: Request) {
        guard head.index(of: .grpcTimeout) != nil else { return }
        let left =
            unsafe request.pointee.started.nanoseconds + request.pointee.timeout
            - loop.now.nanoseconds
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { place in
            guard let base = place.baseAddress else { return }
            let length = unsafe GRPCTimeout.write(nanoseconds: max(left, 1_000_000), to: base)
            unsafe head.set(
                .grpcTimeout,
                UnsafeRawBufferPointer(start: base, count: length),
                isVolatile: true
            )
        }
    }
}
