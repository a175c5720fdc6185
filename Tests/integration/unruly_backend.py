"""A backend that behaves like `sluice-model`'s echo until it is told otherwise: a program of its own, so that whoever
measures beside it is not slowed down by it. Speaks V1 and V2 over HTTP/1.1 and HTTP/2, and gRPC, all on one port.

    unruly_backend.py JOURNAL SEED

The journal gets the x-request-id of each prediction that was read whole and accepted, as `sluice-model --journal` does.
Standard input says, line by line, how to behave (see MANNERS); standard error says where it listens, and repeats each
manner once it is in force.
"""
import asyncio
import json
import os
import random
import socket
import struct
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from tritonclient.grpc import service_pb2

from slow_clients import frame

MANNERS = {
    "well": "answers",
    "unavailable": "503 and UNAVAILABLE, to probes as well",
    "failing": "503 and UNAVAILABLE, but probes are answered well",
    "reset": "takes the request, then a TCP reset (HTTP/1.1) or RST_STREAM INTERNAL_ERROR",
    "refuse": "REFUSED_STREAM; over HTTP/1.1 connections are reset before anything was read",
    "goaway": "from the second request on GOAWAY below it; over HTTP/1.1 `Connection: close`",
    "half": "half of the body, then the end: of the connection, of the chunks, of the stream",
    "tear": "half of the body, then the whole connection is reset",
    "garbage": "what is neither HTTP/1.1 nor HTTP/2",
    "hang": "no answer, though probes are answered",
    "drip": "an answer in pieces, over a third of a second",
}


class Backend:
    def __init__(self, journal, seed):
        self.manner, self.random = "well", random.Random(seed)
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.connections = set()

    def pace(self):
        """Seconds that an answer takes, as with `--delay 10ms --jitter 20ms`."""
        return self.random.uniform(0.01, 0.03)

    def note(self, fields):
        os.write(self.journal, fields.get(b"x-request-id", b"") + b"\n")

    def behave(self, manner):
        assert manner in MANNERS, manner
        self.manner = manner
        for connection in list(self.connections):
            if manner == "refuse" and isinstance(connection, HTTP1):
                connection.reset()
            elif manner == "well":
                connection.relent()
        print(f"manner {manner}", file=sys.stderr, flush=True)


def echo(path, body):
    """The answer, as (content type, bytes)."""
    if path.endswith(b"/ModelInfer"):
        request = service_pb2.ModelInferRequest.FromString(body[5:])
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
        for tensor in request.inputs:
            output = answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            output.contents.CopyFrom(tensor.contents)
        answer.raw_output_contents.extend(request.raw_input_contents)
        text = answer.SerializeToString()
        return b"application/grpc", b"\0" + len(text).to_bytes(4, "big") + text
    question = json.loads(body)
    if path.endswith(b":predict"):
        return b"application/json", json.dumps({"predictions": question["instances"]}).encode()
    answer = {"model_name": "echo", "outputs": question["inputs"]}
    if "id" in question:
        answer["id"] = question["id"]
    return b"application/json", json.dumps(answer).encode()


def metadata():
    tensor = {"name": "input", "datatype": "FP32", "shape": [-1]}
    return json.dumps({"name": "echo", "versions": ["1"], "platform": "unruly", "inputs": [tensor],
                       "outputs": [tensor]}).encode()


class Door(asyncio.Protocol):
    """Looks at the first bytes, then hands the connection to one of the two below."""

    def __init__(self, backend):
        self.backend, self.held = backend, b""

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self.held += data
        if self.held[:4] != b"PRI "[:len(self.held)] or len(self.held) >= 4:
            kind = HTTP2 if self.held.startswith(b"PRI ") else HTTP1
            inner = kind(self.backend, self.transport)
            self.transport.set_protocol(inner)
            inner.data_received(self.held)


class Connection(asyncio.Protocol):
    def __init__(self, backend, transport):
        self.backend, self.transport, self.tasks, self.hanging = backend, transport, set(), []
        backend.connections.add(self)

    def connection_lost(self, _):
        self.backend.connections.discard(self)
        for task in self.tasks:
            task.cancel()

    def reset(self):
        """Ends the connection by a TCP reset, unless the other side has ended it."""
        if self.transport.is_closing():
            return
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def later(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def relent(self):
        for work in self.hanging:
            self.later(work())
        self.hanging = []


class HTTP1(Connection):
    held = b""

    def data_received(self, data):
        self.held += data
        if self.backend.manner == "refuse":
            self.reset()
            return
        head, found, rest = self.held.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
        length = int(fields.get(b"content-length", b"0"))
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            body, rest = self.chunks(rest)
            if body is None:
                return
        elif len(rest) < length:
            return
        else:
            body, rest = rest[:length], rest[length:]
        self.held = rest
        method, path, _ = lines[0].split(b" ")
        if method == b"GET":
            self.probed(path)
        else:
            self.backend.note(fields)
            self.asked(path, body)

    @staticmethod
    def chunks(rest):
        body = b""
        while True:
            size, found, rest = rest.partition(b"\r\n")
            if not found or len(rest) < int(size, 16) + 2:
                return None, b""
            piece, rest = rest[:int(size, 16)], rest[int(size, 16) + 2:]
            if not piece:
                return body, rest
            body += piece

    def probed(self, path):
        if path.endswith(b"/ready"):
            self.answer(503 if self.backend.manner == "unavailable" else 200, b"{}")
        else:
            self.answer(200, metadata())

    def asked(self, path, body):
        manner, chance = self.backend.manner, self.backend.random
        if manner in ("well", "goaway"):
            self.later(self.after(self.backend.pace(), path, body, manner == "goaway"))
        elif manner in ("unavailable", "failing"):
            self.answer(503, b'{"error":"not now"}')
        elif manner == "reset":
            self.reset()
        elif manner == "garbage":
            self.transport.write(b"SLUICE? NEVER HEARD OF IT\r\n\r\n")
        elif manner == "hang":
            async def work():
                self.answer(200, echo(path, body)[1])
            self.hanging.append(work)
        elif manner == "drip":
            self.later(self.drip(echo(path, body)[1]))
        elif manner in ("half", "tear"):
            text = echo(path, body)[1]
            half = text[:len(text) // 2]
            if chance.random() < 0.5:
                self.transport.write(self.head(200, b"content-length: %d" % len(text)) + half)
            else:
                self.transport.write(self.head(200, b"transfer-encoding: chunked") + b"%x\r\n%s\r\n" % (len(half), half))
            self.transport.close() if manner == "half" else asyncio.get_running_loop().call_later(0.02, self.reset)

    async def after(self, seconds, path, body, closes):
        await asyncio.sleep(seconds)
        self.answer(200, echo(path, body)[1], b"\r\nconnection: close" if closes else b"")
        if closes:
            self.transport.close()

    @staticmethod
    def head(status, length):
        return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%s\r\n\r\n" % (status, length)

    def answer(self, status, body, more=b""):
        if not self.transport.is_closing():
            self.transport.write(self.head(status, b"content-length: %d%s" % (len(body), more)) + body)

    async def drip(self, text):
        self.transport.write(self.head(200, b"content-length: %d" % len(text)))
        for piece in pieces(text):
            await asyncio.sleep(0.03)
            self.transport.write(piece)


class HTTP2(Connection):
    def __init__(self, backend, transport):
        super().__init__(backend, transport)
        self.session = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, validate_inbound_headers=False))
        self.heads, self.bodies, self.unsent = {}, {}, {}
        self.count, self.last = 0, None  # of what was accepted; the highest stream that is, once GOAWAY has been said
        self.session.initiate_connection()
        self.session.increment_flow_control_window(1 << 24)

    def flush(self):
        data = self.session.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def data_received(self, data):
        try:
            for event in self.session.receive_data(data):
                self.happened(event)
        except h2.exceptions.ProtocolError as error:
            print(f"the gateway broke HTTP/2: {error!r}", file=sys.stderr, flush=True)
            self.flush()
            self.transport.close()
            return
        self.pump()

    def happened(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            self.heads[stream] = {bytes(name): bytes(value) for name, value in event.headers}
            self.bodies[stream] = b""
        elif isinstance(event, h2.events.DataReceived):
            self.session.acknowledge_received_data(event.flow_controlled_length, stream)
            if stream in self.bodies:
                self.bodies[stream] += event.data
        elif isinstance(event, h2.events.StreamReset):
            self.heads.pop(stream, None), self.bodies.pop(stream, None), self.unsent.pop(stream, None)
        elif isinstance(event, h2.events.StreamEnded) and stream in self.heads:
            self.asked(stream, self.heads[stream], self.bodies.pop(stream))

    def asked(self, stream, fields, body):
        path, manner = fields[b":path"], self.backend.manner
        is_grpc = path.startswith(b"/inference")
        if self.last is not None and stream > self.last:
            return
        if fields[b":method"] == b"GET":
            is_unready = manner == "unavailable" and path.endswith(b"/ready")
            self.send(stream, [(b":status", b"503" if is_unready else b"200")],
                      b"{}" if path.endswith(b"/ready") else metadata())
            return
        if manner == "refuse":
            self.session.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        if manner == "goaway" and self.last is None:
            self.count += 1
            if self.count > 1:
                # What is open here is answered; this one, and what is still on its way, nobody reads.
                open_streams = sorted(set(self.heads) - {stream})
                self.last = open_streams[-1] if open_streams else stream - 2
                self.flush()
                self.transport.write(frame(7, 0, 0, struct.pack(">II", max(0, self.last), 0)))
                self.leave_if_done()
                return
        self.backend.note(fields)
        kind, text = echo(path, body)
        head = [(b":status", b"200"), (b"content-type", kind)]
        if not is_grpc:
            head.append((b"content-length", b"%d" % len(text)))
        end = [(b"grpc-status", b"0")] if is_grpc else None
        half = text[:len(text) // 2]
        if manner in ("unavailable", "failing"):
            if is_grpc:
                self.send(stream, head + [(b"grpc-status", b"14"), (b"grpc-message", b"not now")], b"")
            else:
                self.send(stream, [(b":status", b"503"), (b"content-type", kind)], b'{"error":"not now"}')
        elif manner == "reset":
            self.session.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self.heads.pop(stream)
        elif manner == "garbage":
            self.flush()
            self.transport.write(frame(0, 0, 0, b"DATA belongs to a stream"))
        elif manner == "hang":
            async def work():
                if stream in self.heads:
                    self.send(stream, head, text, end)
                    self.pump()
            self.hanging.append(work)
        elif manner == "drip":
            self.later(self.drip(stream, head, text, end))
        elif manner == "half" and self.backend.random.random() < 0.5:
            self.session.send_headers(stream, head)
            self.session.send_data(stream, half[:1000])
            self.session.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self.heads.pop(stream)
        elif manner == "half":  # the stream ends as if that were all: without the status, or short of content-length
            self.session.send_headers(stream, head)
            self.session.send_data(stream, half[:1000], end_stream=True)
            self.heads.pop(stream)
        elif manner == "tear":
            self.session.send_headers(stream, head)
            self.session.send_data(stream, half[:1000])
            self.flush()
            asyncio.get_running_loop().call_later(0.02, self.reset)
        else:
            self.later(self.after(self.backend.pace(), stream, head, text, end))

    def send(self, stream, head, body, trailers=None):
        self.session.send_headers(stream, head, end_stream=not body and not trailers)
        if body or trailers:
            self.unsent[stream] = (body, trailers)
        else:
            self.done(stream)

    def pump(self):
        for stream in list(self.unsent):
            while stream in self.unsent:
                body, trailers = self.unsent[stream]
                room = min(self.session.local_flow_control_window(stream), self.session.max_outbound_frame_size)
                if body and room <= 0:
                    break
                piece, rest = body[:room], body[room:]
                if piece:
                    self.session.send_data(stream, piece, end_stream=not rest and not trailers)
                self.unsent[stream] = (rest, trailers)
                if not rest:
                    if trailers:
                        self.session.send_headers(stream, trailers, end_stream=True)
                    del self.unsent[stream]
                    self.done(stream)
        self.flush()
        self.leave_if_done()

    def done(self, stream):
        self.heads.pop(stream, None)

    def leave_if_done(self):
        if self.last is not None and not any(stream <= self.last for stream in self.heads):
            self.transport.close()

    async def after(self, seconds, stream, head, text, end):
        await asyncio.sleep(seconds)
        if stream in self.heads:
            self.send(stream, head, text, end)
            self.pump()

    async def drip(self, stream, head, text, end):
        self.session.send_headers(stream, head)
        for piece in pieces(text[:-1]):
            self.flush()
            await asyncio.sleep(0.03)
            if stream not in self.heads:
                return
            room = self.session.local_flow_control_window(stream)
            assert len(piece) <= room, "the answers are smaller than any window"
            for start in range(0, len(piece), 16_000):
                self.session.send_data(stream, piece[start:start + 16_000])
        self.unsent[stream] = (text[-1:], end)
        self.pump()


def pieces(text, count=10):
    step = max(1, -(-len(text) // count))
    return [text[start:start + step] for start in range(0, len(text), step)]


async def main():
    backend = Backend(sys.argv[1], int(sys.argv[2]))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Door(backend), "127.0.0.1", 0)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("unruly on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], file=sys.stderr, flush=True)
    while line := await reader.readline():
        backend.behave(line.decode().strip())


if __name__ == "__main__":
    asyncio.run(main())
